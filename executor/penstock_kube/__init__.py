"""Speaks to a Kubernetes API server: configuration, calls, lists and watches, as raw JSON."""
