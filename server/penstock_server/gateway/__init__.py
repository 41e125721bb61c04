"""The HTTP server: REST by google.api.http annotations, gRPC-Web, uploads, the web UI."""
