"""Warm workers on the simulated cluster: a namespace that allows them, tasks, and where these ran."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from penstock_executor.attempts import TaskLaunch, TaskStarted

from tests.support.kube_bench import Bench, bench, well
from tools.sim_kube.outcome import Outcome

CONFIG = {"workers": "namespace", "workersDefault": "run", "workersMax": "4"}


@asynccontextmanager
async def workers(tmp_path: Path, *, echo: bool = False, **config: str) -> AsyncIterator[Bench]:
    """A namespace that allows workers. `echo`: as in `Outcome`."""
    async with bench(tmp_path, Outcome(messages={"main": well()}, echo=echo), latency=0.05) as b:
        await b.client.create(
            "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "penstock"}, "data": {**CONFIG, **config}}
        )
        yield b


def task(b: Bench, name: str, outcome: Mapping[str, Any] | None = None, **fields: Any) -> TaskLaunch:
    env = (("SIM_OUTCOME", json.dumps(outcome)),) if outcome is not None else ()
    return b.task(name, **{"env": env, **fields})


async def pods_of_workers(b: Bench) -> list[Mapping[str, Any]]:
    return [pod for pod in await b.pods() if "penstock.dev/worker" in pod["metadata"]["labels"]]


def started(b: Bench) -> Callable[[], Awaitable[bool]]:
    """Whether a task has."""

    async def look() -> bool:
        return any(isinstance(event, TaskStarted) for event in b.events)

    return look


def placement(b: Bench, name: str) -> str:
    """Where the task said that it runs, when it started."""
    return next(one.times.placement for one in b.events if isinstance(one, TaskStarted) and one.key.path == name)
