"""The Pods of workers that the cluster has, whoever made them, and which of these nobody needs any more.

Invariant: a Pod whose worker is over stays for as long as anybody may need what it says was begun there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from penstock_kube.reflector import EventKind

from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.workers.results import begun_by
from penstock_executor.backends.kubernetes.workers.worker import Worker

KEPT_SECONDS = 3600.0
"""So long what a worker has begun, or its Pod says of it, is kept for whoever takes its runs over."""


class SeenPods:
    def __init__(self) -> None:
        self._pods: dict[str, dict[str, PodView]] = {}
        self._removed: set[str] = set()

    def event(self, kind: EventKind, view: PodView) -> None:
        """Of a Pod with the label of workers."""
        pods = self._pods.setdefault(view.namespace, {})
        if kind is EventKind.DELETED:
            pods.pop(view.uid, None)
            self._removed.discard(view.uid)
        else:
            pods[view.uid] = view

    def find(self, view: PodView) -> PodView | None:
        """The same Pod as it was seen last."""
        return self._pods.get(view.namespace, {}).get(view.uid)

    def count(self, namespace: str) -> int:
        """How many there have not ended and are not about to."""
        return sum(not (one.ended or one.deleted_at) for one in self._pods.get(namespace, {}).values())

    def take_leftovers(self, workers: Mapping[str, Worker]) -> list[PodView]:
        """Those that have ended, whose agent has, or that never began, when nobody needs what they say; each once.

        `workers` by the ids of their Pods.
        """
        found = []
        now = time.time() * 1000
        for view in [one for pods in self._pods.values() for one in pods.values()]:
            agent = view.container("agent")
            if view.deleted_at or view.uid in self._removed or (agent is not None and agent.running_since):
                continue
            ends = [one.terminated.finished_at for one in view.containers if one.terminated]
            old = now - max(ends, default=view.created_at) > KEPT_SECONDS * 1000
            if old or _says_nothing(view, workers.get(view.uid)):
                self._removed.add(view.uid)
                found.append(view)
        return found


def _says_nothing(view: PodView, worker: Worker | None) -> bool:
    """Whether it is over, and of all that it may tell to have begun the outcomes are committed."""
    agent = view.container("agent")
    if not view.ended and (agent is None or agent.terminated is None):
        return False
    begun = begun_by(view)
    if begun is None:
        return worker is not None and worker.pool is not None and not worker.kept
    return not begun - (worker.settled if worker is not None else set())
