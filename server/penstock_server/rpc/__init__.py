"""gRPC: one servicer and one converter per resource, interceptors, the table of statuses."""
