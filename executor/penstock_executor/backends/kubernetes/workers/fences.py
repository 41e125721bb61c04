"""Which attempts of a run were begun in workers before this executor held it, and that no more are begun there.

Why a list and not what the watch has seen: a worker may have been made a moment before the lease of its maker ended.
What is made later is given nothing of the run: whoever makes it asks, with a stream to it already open, whether the
lease is certain.

Invariants: the list is asked for after the run was claimed, and read as it is then. Until each worker of it that runs
has taken the fence, or is over, nothing is known: an agent that does not answer is waited for until its Pod is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.errors import KubeError

from penstock_executor.backends.kubernetes.calls import pods_path
from penstock_executor.backends.kubernetes.view import LABEL_INSTANCE, LABEL_WORKER, PodView, view_of
from penstock_executor.backends.kubernetes.workers.fleet import Fleet
from penstock_executor.backends.kubernetes.workers.link import LinkDownError, LinkLostError
from penstock_executor.backends.kubernetes.workers.results import begun_by
from penstock_executor.backends.kubernetes.workers.worker import Worker
from penstock_executor.backoff import delays, retried

log = logging.getLogger(__name__)

_REMEMBERED_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """An attempt that was begun. `worker` is None when it is over, and nobody can tell how the attempt ended.

    `runs`: it ran when the worker was asked.
    """

    worker: Worker | None
    number: int = 0
    log_mark: str = ""
    runs: bool = False
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """The attempts of a run that were begun, by their ids. `uncertain`: also one that is not among them may have been,
    in a worker of which nobody saw how it ended."""

    attempts: Mapping[str, Found]
    uncertain: bool = False


class FencedOffError(Exception):
    """Another executor holds the run by now."""


class Fences:
    """`instance` is the installation's label."""

    def __init__(self, client: KubeClient, instance: str, fleet: Fleet) -> None:
        self._client = client
        self._selector = f"{LABEL_INSTANCE}={instance},{LABEL_WORKER}"
        self._fleet = fleet
        self._known: dict[tuple[str, int], asyncio.Task[Begun]] = {}
        self._lists: dict[str, asyncio.Task[list[PodView]]] = {}

    async def begun(self, namespace: str, run_id: str, fence: int, held: Callable[[], bool]) -> Begun:
        """What was begun of the run. Waits for as long as it takes, while it is `held`.

        Raises FencedOffError.
        """
        key = (run_id, fence)
        task = self._known.get(key)
        if task is None:
            while len(self._known) >= _REMEMBERED_RUNS:
                self._known.pop(next(iter(self._known)))
            task = self._known[key] = asyncio.ensure_future(self._ask_all(namespace, run_id, fence, held))
        try:
            return await asyncio.shield(task)
        except FencedOffError:
            self._known.pop(key, None)
            raise

    def forget(self, run_id: str) -> None:
        for key in [key for key in self._known if key[0] == run_id]:
            self._known.pop(key).cancel()

    def close(self) -> None:
        for task in (*self._known.values(), *self._lists.values()):
            task.cancel()

    async def _ask_all(self, namespace: str, run_id: str, fence: int, held: Callable[[], bool]) -> Begun:
        views = await self._listed(namespace)
        answers = await asyncio.gather(*(self._asked(view, run_id, fence, held) for view in views))
        found: dict[str, Found] = {}
        for one in answers:
            found.update(one.attempts)
        return Begun(found, any(one.uncertain for one in answers))

    async def _listed(self, namespace: str) -> list[PodView]:
        """The namespace's workers, by a list that begins now or later; many runs that are taken over share one."""
        waiting = self._lists.get(namespace)
        if waiting is None:
            waiting = self._lists[namespace] = asyncio.ensure_future(self._list(namespace))
        return await asyncio.shield(waiting)

    async def _list(self, namespace: str) -> list[PodView]:
        # Whoever comes until it begins takes part; whoever comes later gets one of their own.
        await asyncio.sleep(0)
        del self._lists[namespace]

        async def once() -> list[PodView]:
            listed = await self._client.list_all(pods_path(namespace), self._selector)
            return [view_of(item) for item in listed.items]

        def failed(error: BaseException) -> None:
            log.warning("the workers of %s cannot be listed yet: %s", namespace, error)

        return await retried(once, if_=lambda error: isinstance(error, KubeError), failed=failed)

    async def _asked(self, view: PodView, run_id: str, fence: int, held: Callable[[], bool]) -> Begun:
        """Raises FencedOffError."""
        agent = view.container("agent")
        if view.ended or (agent is not None and agent.terminated is not None):
            return _left(view)
        if agent is None or not agent.running_since:
            # Nobody has talked to it, and who does from now on knows that the lease has ended.
            return Begun({})
        worker = self._fleet.follow(view)
        # No retry of one call: each turn the worker may have ended instead.
        for delay in delays(0.05, 2.0):
            if not held():
                raise FencedOffError
            if worker.gone:
                return _left(worker.view)
            self._fleet.follow(worker.view)
            try:
                assert worker.link is not None
                answer = await worker.link.ask({"op": "fence", "run_id": run_id, "fence": fence})
            except (LinkDownError, LinkLostError):
                await asyncio.sleep(delay)
                continue
            if answer is None or answer["event"] != "fenced":
                raise FencedOffError
            return Begun({str(one["id"]): _found(worker, one) for one in answer.get("attempts") or ()})
        raise AssertionError("delays end never")


def _found(worker: Worker, told: Mapping[str, Any]) -> Found:
    return Found(
        worker,
        number=int(told["number"]),
        log_mark=str(told.get("log_token") or "")[:63],
        runs=told.get("running") is True,
        forgotten=told.get("forgotten") is True,
    )


def _left(view: PodView) -> Begun:
    """Of a worker that is over."""
    begun = begun_by(view)
    return Begun({one: Found(None) for one in begun or ()}, uncertain=begun is None)
