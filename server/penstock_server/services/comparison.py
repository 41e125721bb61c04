"""Compares runs: their parameters, metrics and classification metrics, in a few statements however many runs.

Invariant: what is told of a run is of one moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_server.domain.comparison import CLASSIFICATION_TYPES, MOST_CLASSIFICATIONS, MOST_RUNS, ComparedRun
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services.ports import Storage


class ComparisonService:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def compare(self, run_ids: Sequence[str]) -> list[ComparedRun]:
        """In the order of the ids. Raises InvalidArgumentError, NotFoundError."""
        if not 1 <= len(run_ids) <= MOST_RUNS:
            raise InvalidArgumentError(f"there are {len(run_ids)}; from 1 to {MOST_RUNS} are compared", "run_ids")
        if len(set(run_ids)) < len(run_ids):
            raise InvalidArgumentError("a run is there twice", "run_ids")
        with self._storage.reading() as uow:
            runs = uow.runs.get_many(run_ids)
            missing = [run_id for run_id in run_ids if run_id not in runs]
            if missing:
                raise NotFoundError("Run", missing[0])
            metrics = uow.artifacts.metrics_of(run_ids)
            return [
                ComparedRun(
                    runs[run_id],
                    metrics.get(run_id, {}),
                    uow.artifacts.newest(run_id, CLASSIFICATION_TYPES, MOST_CLASSIFICATIONS),
                )
                for run_id in run_ids
            ]
