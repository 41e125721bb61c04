"""One seed: a random pipeline, its run without faults, and runs with faults that must have the same result; and pools
of slots under random requests; and, for some seeds, workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from penstock_ir.model import JsonValue, Pipeline

from tools.simulate import invariants, slots
from tools.simulate.pipelines import random_pipeline
from tools.simulate.workers import world as workers
from tools.simulate.world import Plan, World

_WORKERS_EVERY = 4
"""They take longer than all the rest."""


def check(seed: int) -> None:
    """Raises AssertionError."""
    check_pipeline(random_pipeline(Random(f"pipeline {seed}"), Random(f"gangs {seed}")), seed)
    slots.check(seed)
    if seed % _WORKERS_EVERY == 0:
        workers.check(seed)


def check_pipeline(pipeline: Pipeline, seed: int, arguments: Mapping[str, JsonValue] | None = None) -> None:
    """One pipeline under one seed's faults. Raises AssertionError."""
    random = Random(f"plan {seed}")
    retries = random.choice([0, 0, 1, 2])
    reference = World(pipeline, seed, Random(0), Plan(retries=retries), arguments).run()
    plan = Plan(faults=True, retries=retries)
    disturbed = World(pipeline, seed, Random(f"disturbed {seed}"), plan, arguments).run()
    assert invariants.summary(disturbed) == invariants.summary(reference), "the result depends on the schedule"
    kind = random.choice(["terminate", "terminate", "deadline", "fail fast"])
    plan = Plan(
        faults=True,
        terminate=kind == "terminate",
        fail_fast=kind == "fail fast",
        deadline_millis=random.randint(1_000, 20_000) if kind == "deadline" else 0,
        retries=random.choice([0, 1]),
    )
    World(pipeline, seed, Random(f"ended {seed}"), plan, arguments).run()
