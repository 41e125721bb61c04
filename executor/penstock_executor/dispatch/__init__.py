"""Claims runs, drives the engine, reports transitions: the only talker to the server."""
