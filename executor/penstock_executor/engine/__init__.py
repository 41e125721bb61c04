"""The pure state machine of a run: no clock, no randomness, no I/O (docs/architecture.md)."""
