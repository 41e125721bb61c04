"""From an ended Pod to the outcome of its attempt.

The result is in a termination message, at the end of the log, or in the store (docs/pods.md).

Invariants: the result decides, not the Pod's phase. A result that cannot be read for now is tried again for a bounded
time, then counts as lost, which is an INFRASTRUCTURE failure. A failure's text ends with the last lines of the log.
What a task could have written is bounded: how much of it is read, for how long, from where, and which times are taken.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.protocol import FRAME_LINE_BYTES, MAX_RESULT_BYTES, RESULT_OBJECT, AttemptResult
from penstock_executor.agent.results import (
    FramedResult,
    StoredResult,
    find_frame,
    outputs_of,
    parse_message,
    parse_result,
)
from penstock_executor.artifacts.output_files import OutputError
from penstock_executor.attempts import TaskLaunch, TaskOutcome
from penstock_executor.backends.kubernetes.calls import PodCalls
from penstock_executor.backends.kubernetes.pod_times import pod_times, program_ran
from penstock_executor.backends.kubernetes.verdict import Failure, failure_of
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.observed_times import attempt_times
from penstock_executor.backoff import is_transient, retried
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_RESULT_SECONDS = 60.0
# A result is parsed in memory, and a task decides how large it is.
_RESULTS_AT_ONCE = 4
_LOG_SECONDS = 10.0
_TAIL_LINES = 20
_TAIL_BYTES = 2048
_MAX_ERROR = 4096
_FRAME_SLACK_LINES = 200
_FRAME_SLACK_BYTES = 4 * 1024 * 1024


class ResultLostError(Exception):
    """The attempt left a result, and it cannot be read any more."""


class Conclusion:
    """`store_for(namespace)` gives the store with the credentials that hold there."""

    def __init__(self, calls: PodCalls, store_for: Callable[[str], ArtifactStore]) -> None:
        self._calls = calls
        self._store_for = store_for
        self._reading = asyncio.Semaphore(_RESULTS_AT_ONCE)

    async def outcome(self, task: TaskLaunch, view: PodView, *, canceled: bool) -> tuple[TaskOutcome, bool]:
        """The outcome, and whether the log is in the store already."""
        result: AttemptResult | None = None
        failure: Failure | None
        try:
            result = await self._result(task, view)
            failure = failure_of(
                view,
                result,
                deadline_seconds=task.deadline_seconds,
                image=task.image,
                wrapped=bool(task.command),
            )
        except ResultLostError as error:
            failure = Failure(FailureKind.INFRASTRUCTURE, str(error), wants_log=True)
        logged = result is not None and result.log_stored
        if failure is None:
            assert result is not None
            try:
                outputs = outputs_of(task, result)
            except OutputError as error:
                failure = Failure(FailureKind.USER, str(error))
            else:
                return replace(
                    self._outcome(task, view, result, None, ""),
                    parameters=outputs.parameters,
                    artifacts=outputs.artifacts,
                ), logged
        if canceled:
            failure = Failure(FailureKind.CANCELED, "the run was terminated")
        text = failure.text
        if failure.wants_log:
            tail = await self.tail(view)
            text += f"; its last lines:\n{tail}" if tail else ""
        outcome = self._outcome(task, view, result, failure.kind, text)
        return replace(outcome, cause=failure.cause), logged

    async def tail(self, view: PodView) -> str:
        """The last lines of the program's log, empty when they cannot be had."""
        try:
            data = await asyncio.wait_for(self._tail(view), _LOG_SECONDS)
        except (KubeError, asyncio.TimeoutError) as error:
            log.debug("Pod %s: no log: %s", view.name, error)
            return ""
        return data.decode("utf-8", "replace").strip()

    async def _tail(self, view: PodView) -> bytes:
        return await retried(lambda: self._log_end(view, _TAIL_LINES, _TAIL_BYTES))

    async def _result(self, task: TaskLaunch, view: PodView) -> AttemptResult | None:
        left = None
        # The wrapper leaves the result itself when there is no agent, or the agent is gone.
        for name in ("agent", "main"):
            container = view.container(name)
            if left is None and container is not None and container.terminated is not None:
                left = parse_message(container.terminated.message)
        if isinstance(left, StoredResult):
            return await self._patiently(lambda: self._stored(task, view, left))
        if isinstance(left, FramedResult):
            return await self._patiently(lambda: self._framed(view, left))
        if left is None and not task.command and view.container("agent") is None:
            # The image's own entrypoint, without wrapper and agent, writes no result, and has no outputs.
            return AttemptResult(exit=None)
        return left

    async def _patiently(self, fetch: Callable[[], Awaitable[AttemptResult]]) -> AttemptResult:
        try:
            return await retried(
                lambda: self._bounded(fetch),
                # Any error of the API server: a kubelet that is starting can read logs in a moment.
                if_=lambda error: isinstance(error, KubeError) or is_transient(error),
                seconds=_RESULT_SECONDS,
                failed=lambda error: log.warning("a result cannot be read yet: %s", error),
            )
        except (KubeError, ArtifactStoreError) as error:
            raise ResultLostError(f"the result of the task cannot be read: {error}") from error
        except asyncio.TimeoutError:
            raise ResultLostError(f"the result of the task was not read within {_RESULT_SECONDS:g} seconds") from None

    async def _bounded(self, fetch: Callable[[], Awaitable[AttemptResult]]) -> AttemptResult:
        async with self._reading:
            return await asyncio.wait_for(fetch(), _RESULT_SECONDS)

    async def _stored(self, task: TaskLaunch, view: PodView, left: StoredResult) -> AttemptResult:
        # The message is a task's word, the credentials are ours: nothing is read but what the attempt's agent wrote.
        uri = f"{task.task_root}/{RESULT_OBJECT}"
        if left.uri != uri:
            raise ResultLostError(f"the task's message names {left.uri[:200]!r} as its result, which is not its place")
        data = await self._store_for(view.namespace).content(uri, MAX_RESULT_BYTES)
        if data is None:
            raise ResultLostError(f"the result of the task is not at {uri}")
        return _parsed(data)

    async def _framed(self, view: PodView, left: FramedResult) -> AttemptResult:
        # Lines that other processes print may lie between those of the frame.
        kept = left.lines * FRAME_LINE_BYTES + _FRAME_SLACK_BYTES
        data = await self._log_end(view, left.lines + _FRAME_SLACK_LINES, kept)
        frame = find_frame(data, left.token)
        if frame is None:
            raise ResultLostError("the result of the task is not at the end of its log any more (the log was rotated)")
        return _parsed(frame)

    async def _log_end(self, view: PodView, lines: int, kept: int) -> bytes:
        """The last `lines` lines, and of them the last `kept` bytes: a line may be as long as a log."""
        end = bytearray()
        async with aclosing(self._calls.log(view.namespace, view.name, "main", tail_lines=lines)) as stream:
            async for piece in stream:
                end += piece
                if len(end) > 2 * kept:
                    del end[:-kept]
        return bytes(end[-kept:])

    @staticmethod
    def _outcome(
        task: TaskLaunch, view: PodView, result: AttemptResult | None, kind: FailureKind | None, text: str
    ) -> TaskOutcome:
        exit_ = result.exit if result is not None else None
        main = view.container("main")
        ended = main.terminated if main is not None else None
        # The wrapper's clock has milliseconds, the kubelet's seconds.
        told = (exit_.started_at, exit_.finished_at) if exit_ else (0, 0)
        seen = (view.started_at, view.finished_at)
        now = time.time_ns() // 1_000_000
        started, finished = attempt_times(view.name, told, seen, view.created_at, now)
        ran = program_ran(view, result, wrapped=bool(task.command))
        return TaskOutcome(
            key=task.key,
            started_at_millis=started,
            finished_at_millis=finished,
            exit_code=exit_.code if exit_ else ended.exit_code if ended else None,
            failure=kind,
            error=text[:_MAX_ERROR],
            log_uri=log_uri(task.task_root),
            pod_name=view.name,
            times=pod_times(view, now, result, started=started if ran else 0, finished=finished if ran else 0),
        )


def _parsed(data: bytes) -> AttemptResult:
    result = parse_result(data)
    if result is None:
        raise ResultLostError("the result of the task is no document that this version can read")
    return result
