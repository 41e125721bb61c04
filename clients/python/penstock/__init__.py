"""Penstock's client: a thin layer over the generated gRPC stubs, and the `penstock` command line."""
