"""A Penstock to be broken: servers and executors as processes here, its runs' Pods in a cluster, all of it watched."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil
from penstock.client import Client

from tests.support.begun import Begun
from tests.support.pod_watch import Attempt, PodWatch, SeenPod
from tests.support.replicas import Replicas
from tests.support.storm import Storm
from tools.cluster import Cluster
from tools.databases import PostgreSQL
from tools.kube_penstock import Surroundings, surroundings
from tools.testing import runs

PATIENCE_SECONDS = 600.0
"""For what has to happen some time; how long it takes is a figure, not what is asserted."""
_ORPHAN_SECONDS = 2
RUNS = int(os.environ.get("PENSTOCK_FAULT_RUNS", "50"))
CLUSTER_UP = os.environ.get("PENSTOCK_CLUSTER_UP", "")

Find = Callable[[Collection[str]], list[tuple[psutil.Process, str]]]
Record = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class FaultWorld:
    cluster: Cluster
    around: Surroundings
    replicas: Replicas
    client: Client
    watch: PodWatch
    random: Random
    database: str
    killed: set[Attempt] = field(default_factory=set)
    """Attempts that may have failed through no fault of theirs."""

    @property
    def grpc(self) -> str:
        return self.replicas.addresses[0]

    def storm(
        self,
        count: int,
        strike: Callable[[FaultWorld], bool],
        *,
        at_most: int,
        pause: tuple[float, float] = (0.5, 3.0),
        seconds: float = 0.5,
        any_may_fail: bool = False,
        begun: Begun | None = None,
    ) -> dict[str, float]:
        """Runs go on while `strike` is called at random moments until it was successful so often. The figures.

        `any_may_fail`: attempts may be begun again without having been in `killed`. `begun`: is told by each
        task's program.
        """
        began = time.monotonic()
        # A runtime that is killed takes what it had read of logs along.
        storm = Storm(self.client, self.grpc, seconds, logs_may_be_lost=any_may_fail, begun=begun)
        storm.start(count, self.random)
        strikes = 0
        while strikes < at_most and storm.going_on():
            time.sleep(self.random.uniform(*pause))
            strikes += strike(self)
        storm.wait(PATIENCE_SECONDS)
        ended = time.monotonic()
        self.no_pod_is_left()
        cleared = time.monotonic() - ended
        found = storm.check(self.watch, None if any_may_fail else self.killed)
        assert strikes, "nothing happened to these runs"
        return {"strikes": strikes, **found, "seconds": round(ended - began, 1), "cleared": round(cleared, 1)}

    def restart_one(self, programs: Collection[Any]) -> bool:
        """kill -9, and a moment later it is there again; True."""
        victim = self.random.choice(list(programs))
        victim.kill()
        time.sleep(self.random.choice([0.0, 0.5, 2.0]))
        victim.start()
        return True

    def no_pod_is_left(self) -> None:
        """Waits for it: what an executor left behind when it was killed is found by the collector of orphans."""
        runs.until(self.watch.left, lambda pods: not pods, 120)

    def live(self) -> dict[str, SeenPod]:
        """By uid."""
        return {pod.uid: pod for pod in self.watch.live()}


@contextmanager
def fault_world(
    cluster: Cluster,
    database: PostgreSQL,
    directory: Path,
    seed: int,
    *,
    executors: int = 1,
    lease_seconds: float = 15.0,
    settings: Mapping[str, str] | None = None,
    prepare: Callable[[Surroundings], None] = lambda around: None,
) -> Iterator[FaultWorld]:
    """`settings` are further variables, `prepare` is called before the programs start."""
    name = f"faults{uuid.uuid4().hex[:12]}"
    with surroundings(cluster, directory) as around:
        prepare(around)
        environment = {
            **around.environment,
            "PENSTOCK_BACKEND": "kubernetes",
            "PENSTOCK_ORPHAN_INTERVAL": str(_ORPHAN_SECONDS),
            **(settings or {}),
        }
        url = database.database(name)
        replicas = Replicas(
            directory, url, database.database(f"{name}m"),
            servers=1, executors=executors, lease_seconds=lease_seconds, environment=environment,
        )  # fmt: skip
        with (
            PodWatch(cluster.kubeconfig, around.namespace) as watch,
            replicas,
            Client(replicas.addresses[0]) as client,
        ):
            yield FaultWorld(cluster, around, replicas, client, watch, Random(seed), url)
