"""One seed: a random pipeline, its undisturbed run, and disturbed ones that must come to the same."""

from __future__ import annotations

from random import Random

from tests.simulation import invariants
from tests.simulation.pipelines import random_pipeline
from tests.simulation.world import World


def check(seed: int) -> None:
    """Raises AssertionError."""
    pipeline = random_pipeline(Random(f"pipeline {seed}"))
    reference = World(pipeline, seed, Random(0), faults=False, terminate=False).run()
    disturbed = World(pipeline, seed, Random(f"disturbed {seed}"), faults=True, terminate=False).run()
    assert invariants.summary(disturbed) == invariants.summary(reference), "the result depends on the schedule"
    World(pipeline, seed, Random(f"terminated {seed}"), faults=True, terminate=True).run()
