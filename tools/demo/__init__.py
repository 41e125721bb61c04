"""The demo: a real pipeline through the unmodified SDK, its lineage read back, and again from the cache."""
