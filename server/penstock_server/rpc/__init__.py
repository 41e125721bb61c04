"""The gRPC server: a servicer and a converter per resource, the interceptor, the table of statuses."""
