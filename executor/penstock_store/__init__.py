"""Stores of artifacts and logs, behind one port: files, S3, Google Cloud Storage, Azure Blob Storage."""
