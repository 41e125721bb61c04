"""Use cases: one method per thing a caller can ask for, on ports; no transport, no SQL."""
