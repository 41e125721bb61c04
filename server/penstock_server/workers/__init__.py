"""Processes that read what users send, so that no document takes the server's own interpreter."""
