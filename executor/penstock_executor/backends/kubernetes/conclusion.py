"""From an ended Pod to the outcome of its attempt.

The result is in a termination message, at the end of the log, or in the store (docs/pods.md).

Invariants: the result decides, not the Pod's phase. A result that cannot be read for now is tried again for a bounded
time, then counts as lost, which is an INFRASTRUCTURE failure. A failure's text ends with the last lines of the log.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.protocol import AttemptResult
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
from penstock_executor.backends.kubernetes.verdict import Failure, failure_of
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backoff import is_transient, retried
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_RESULT_SECONDS = 60.0
_LOG_SECONDS = 10.0
_TAIL_LINES = 20
_TAIL_BYTES = 2048
_MAX_ERROR = 4096
_FRAME_SLACK_LINES = 200


class ResultLostError(Exception):
    """The attempt left a result, and it cannot be read any more."""


class Conclusion:
    """`store_for(namespace)` gives the store with the credentials that hold there."""

    def __init__(self, calls: PodCalls, store_for: Callable[[str], ArtifactStore]) -> None:
        self._calls = calls
        self._store_for = store_for

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
        return self._outcome(task, view, result, failure.kind, text), logged

    async def tail(self, view: PodView) -> str:
        """The last lines of the program's log, empty when they cannot be had."""
        try:
            data = await asyncio.wait_for(self._tail(view), _LOG_SECONDS)
        except (KubeError, asyncio.TimeoutError) as error:
            log.debug("Pod %s: no log: %s", view.name, error)
            return ""
        return data[-_TAIL_BYTES:].decode("utf-8", "replace").strip()

    async def _tail(self, view: PodView) -> bytes:
        return await retried(lambda: self._log_end(view, _TAIL_LINES))

    async def _result(self, task: TaskLaunch, view: PodView) -> AttemptResult | None:
        left = None
        # The wrapper leaves the result itself when there is no agent, or the agent is gone.
        for name in ("agent", "main"):
            container = view.container(name)
            if left is None and container is not None and container.terminated is not None:
                left = parse_message(container.terminated.message)
        if isinstance(left, StoredResult):
            return await self._patiently(lambda: self._stored(view, left))
        if isinstance(left, FramedResult):
            return await self._patiently(lambda: self._framed(view, left))
        if left is None and not task.command and view.container("agent") is None:
            # The image's own entrypoint, without wrapper and agent, writes no result, and has no outputs.
            return AttemptResult(exit=None)
        return left

    async def _patiently(self, fetch: Callable[[], Awaitable[AttemptResult]]) -> AttemptResult:
        try:
            return await retried(
                fetch,
                # Any error of the API server: a kubelet that is starting can read logs in a moment.
                if_=lambda error: isinstance(error, KubeError) or is_transient(error),
                seconds=_RESULT_SECONDS,
                failed=lambda error: log.warning("a result cannot be read yet: %s", error),
            )
        except (KubeError, ArtifactStoreError) as error:
            raise ResultLostError(f"the result of the task cannot be read: {error}") from error

    async def _stored(self, view: PodView, left: StoredResult) -> AttemptResult:
        with tempfile.TemporaryDirectory(prefix="penstock-result-") as directory:
            target = Path(directory) / "result.json"
            if not await self._store_for(view.namespace).fetch(left.uri, target):
                raise ResultLostError(f"the result of the task is not at {left.uri}")
            return _parsed(await asyncio.to_thread(target.read_bytes))

    async def _framed(self, view: PodView, left: FramedResult) -> AttemptResult:
        # Lines that other processes print may lie between those of the frame.
        data = await self._log_end(view, left.lines + _FRAME_SLACK_LINES)
        frame = find_frame(data, left.token)
        if frame is None:
            raise ResultLostError("the result of the task is not at the end of its log any more (the log was rotated)")
        return _parsed(frame)

    async def _log_end(self, view: PodView, lines: int) -> bytes:
        async with aclosing(self._calls.log(view.namespace, view.name, "main", tail_lines=lines)) as stream:
            return b"".join([piece async for piece in stream])

    @staticmethod
    def _outcome(
        task: TaskLaunch, view: PodView, result: AttemptResult | None, kind: FailureKind | None, text: str
    ) -> TaskOutcome:
        exit_ = result.exit if result is not None else None
        main = view.container("main")
        ended = main.terminated if main is not None else None
        now = time.time_ns() // 1_000_000
        # The wrapper's clock has milliseconds, the kubelet's seconds.
        started = (exit_.started_at if exit_ else 0) or view.started_at or now
        finished = (exit_.finished_at if exit_ else 0) or view.finished_at or now
        return TaskOutcome(
            key=task.key,
            started_at_millis=started,
            finished_at_millis=max(started, finished),
            exit_code=exit_.code if exit_ else ended.exit_code if ended else None,
            failure=kind,
            error=text[:_MAX_ERROR],
            log_uri=log_uri(task.task_root),
            pod_name=view.name,
        )


def _parsed(data: bytes) -> AttemptResult:
    result = parse_result(data)
    if result is None:
        raise ResultLostError("the result of the task is no document that this version can read")
    return result
