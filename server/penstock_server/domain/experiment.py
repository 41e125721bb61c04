"""Experiments: named groups of runs (api.md §2.6)."""

from __future__ import annotations

from dataclasses import dataclass

AVAILABLE = "AVAILABLE"
ARCHIVED = "ARCHIVED"
STORAGE_STATES = (AVAILABLE, ARCHIVED)
DEFAULT_NAME = "Default"
DEFAULT_DESCRIPTION = "All runs created without specifying an experiment will be grouped here."


@dataclass(frozen=True, slots=True)
class Experiment:
    """Times in milliseconds; `last_run_created_at` is 0 before the first run."""

    experiment_id: str
    name: str
    description: str
    namespace: str
    created_at: int
    last_run_created_at: int
    storage_state: str
