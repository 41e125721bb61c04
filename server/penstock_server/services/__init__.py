"""Application services: one method per operation of the API, on ports; no transport, no SQL."""
