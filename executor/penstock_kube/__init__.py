"""A client of Kubernetes API servers: configuration, calls, lists and watches, as raw JSON."""
