"""Which attempts of a run were begun in workers before this executor held it, and that no more are begun there.

Why a list and not what the watch has seen: a worker may have been made a moment before the lease of its maker ended.
What is made later is given nothing of the run: whoever makes it asks, with a stream to it already open, whether the
lease is certain.

Invariants: the list is asked for after the run was claimed, and read as it is then. Until each worker of it that runs
has taken the fence, or is over, nothing is known: an agent that does not answer, or not as an agent does, is waited for
until its Pod is gone, and that is removed after a while. Whoever may make Pods in the namespace may have made one of
these, so what an agent says is checked and bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from penstock_executor.backends.kubernetes.workers.worker import Worker, seconds_now
from penstock_executor.backoff import delays, retried

log = logging.getLogger(__name__)

_REMEMBERED_RUNS = 10_000
_MOST_OF_A_RUN = 10_000
"""Attempts of a run that one worker may have begun; it goes after fewer."""
_LONGEST_ID = 200
_LONGEST_SECONDS = 10 * 365 * 86_400.0
_UNTRUE_SECONDS = 120.0
"""For so long an agent is taken at its word that another executor holds the run, which would be known by then."""


@dataclass(frozen=True, slots=True)
class Found:
    """An attempt that was begun. `worker` is None when it is over, and nobody can tell how the attempt ended.

    `runs`: it ran when the worker was asked, `seconds` after it was begun.
    """

    worker: Worker | None
    number: int = 0
    log_mark: str = ""
    runs: bool = False
    seconds: float = 0.0
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
        self._known: dict[str, tuple[int, asyncio.Task[Begun]]] = {}
        """By run: under which fence it was asked, and the answer."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lists: dict[str, asyncio.Task[list[PodView]]] = {}

    async def begun(self, namespace: str, run_id: str, fence: int, held: Callable[[], bool]) -> Begun:
        """What was begun of the run. Waits for as long as it takes, while it is `held`.

        Raises FencedOffError.
        """
        known = self._known.get(run_id)
        if known is None or known[0] != fence:
            self._known.pop(run_id, None)
            while len(self._known) >= _REMEMBERED_RUNS:
                self._known.pop(next(iter(self._known)))
            known = self._known[run_id] = (fence, asyncio.ensure_future(self._ask_all(namespace, run_id, fence, held)))
            self._tasks.add(known[1])
            known[1].add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(known[1])
        except Exception:
            if self._known.get(run_id) is known:
                del self._known[run_id]
            raise

    async def any_workers(self, namespace: str) -> bool:
        """Whether the namespace has any, whatever it says of workers now. Waits for as long as it takes."""
        return bool(await self._listed(namespace))

    def forget(self, run_id: str) -> None:
        known = self._known.pop(run_id, None)
        if known is not None:
            known[1].cancel()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _ask_all(self, namespace: str, run_id: str, fence: int, held: Callable[[], bool]) -> Begun:
        views = await self._listed(namespace)
        asked = [asyncio.ensure_future(self._asked(view, run_id, fence, held)) for view in views]
        try:
            answers = await asyncio.gather(*asked)
        finally:
            for one in asked:
                one.cancel()
        found: dict[str, Found] = {}
        for answer in answers:
            for identity, said in answer.attempts.items():
                # No two workers begin one attempt. Should two say so, it counts where its end can still be told.
                if identity not in found or found[identity].worker is None or found[identity].forgotten:
                    found[identity] = said
        return Begun(found, any(answer.uncertain for answer in answers))

    async def _listed(self, namespace: str) -> list[PodView]:
        """The namespace's workers, by a list that begins now or later; many runs that are taken over share one."""
        waiting = self._lists.get(namespace)
        if waiting is None:
            waiting = self._lists[namespace] = asyncio.ensure_future(self._list(namespace))
            self._tasks.add(waiting)
            waiting.add_done_callback(self._tasks.discard)
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
        worker.awaited += 1
        try:
            return await self._answer(worker, run_id, fence, held)
        finally:
            worker.awaited -= 1
            worker.since = seconds_now()

    async def _answer(self, worker: Worker, run_id: str, fence: int, held: Callable[[], bool]) -> Begun:
        """Raises FencedOffError."""
        untrue_since = 0.0
        # No retry of one call: each turn the worker may have ended instead.
        for delay in delays(0.05, 2.0):
            if not held():
                raise FencedOffError
            if worker.gone:
                return _left(worker.view)
            assert worker.link is not None
            with contextlib.suppress(LinkDownError, LinkLostError):
                answer = await worker.link.ask({"op": "fence", "run_id": run_id, "fence": fence})
                begun = _told(worker, answer) if answer is not None else None
                if begun is not None:
                    return begun
                # Most likely another executor holds the run, which will be heard of; or the worker is over.
                untrue_since = untrue_since or seconds_now()
                if seconds_now() - untrue_since > _UNTRUE_SECONDS:
                    log.warning("worker %s does not say what was begun in it, its Pod is removed", worker.view.name)
                    self._fleet.remove(worker)
                    untrue_since = 0.0
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")


def _told(worker: Worker, answer: Mapping[str, Any]) -> Begun | None:
    """None when it refuses, or says what no agent says."""
    attempts = answer.get("attempts")
    if answer.get("event") != "fenced" or not isinstance(attempts, list) or len(attempts) > _MOST_OF_A_RUN:
        return None
    found: dict[str, Found] = {}
    for one in attempts:
        identity = one.get("id") if isinstance(one, dict) else None
        if not isinstance(identity, str) or not 0 < len(identity) <= _LONGEST_ID:
            return None
        found[identity] = _found(worker, one)
    return Begun(found)


def _found(worker: Worker, told: Mapping[str, Any]) -> Found:
    number, mark, seconds = told.get("number"), told.get("log_token"), told.get("seconds", 0.0)
    return Found(
        worker,
        number=number if type(number) is int and 0 < number < 2**31 else 1,
        log_mark=mark[:63] if isinstance(mark, str) else "",
        runs=told.get("running") is True,
        seconds=seconds if type(seconds) in (int, float) and 0 < seconds < _LONGEST_SECONDS else 0.0,
        forgotten=told.get("forgotten") is True,
    )


def _left(view: PodView) -> Begun:
    """Of a worker that is over."""
    begun = begun_by(view)
    return Begun({one: Found(None) for one in begun or ()}, uncertain=begun is None)
