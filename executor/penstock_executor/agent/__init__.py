"""What runs in a Pod beside the user's program: the wrapper `run.c` inside its container, the agent next to it."""
