"""Tasks of the same shape that share a Pod one after another (docs/workers.md)."""
