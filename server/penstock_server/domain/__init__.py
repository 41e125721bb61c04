"""Domain values and the rules by which they change. Pure: no I/O, no transport, no storage."""
