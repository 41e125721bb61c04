"""Several runs side by side: what each was given, and what its tasks measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock_server.domain.run import Run
from penstock_server.domain.task import Artifact

MOST_RUNS = 20
MOST_CLASSIFICATIONS = 20
CLASSIFICATION_TYPES = ("system.ClassificationMetrics", "system.SlicedClassificationMetrics")


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """`metrics` are the newest scalars by name, `classifications` the newest artifacts first."""

    run: Run
    metrics: Mapping[str, float]
    classifications: Sequence[Artifact]
