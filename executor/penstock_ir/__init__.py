"""The pipeline IR: loads, validates and types compiled pipelines. Server and executor share it; it does no I/O."""
