"""Where tasks run: the port and its implementations."""
