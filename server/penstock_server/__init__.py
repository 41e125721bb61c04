"""The Penstock server: owns the database, serves gRPC and REST."""
