"""Artifacts: values, stores, and what a task left behind."""
