"""Pure rules: what resources are and how they may change. No I/O, no transport, no storage."""
