"""One attempt, from the agent's side: inputs, the program's end, outputs, result (docs/pods.md).

Invariants: a wrapper that waits for inputs always gets an answer, `ready` or `failed`; outputs are uploaded only if the
program exited with 0; SIGTERM means that the Pod is being deleted: nothing new is begun, but the log is uploaded. The
modules that a transfer needs are imported only when there is something to transfer.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.failures import CONFIGURATION, INFRASTRUCTURE, USER, AgentError
from penstock_executor.agent.outputs import PodFiles, Upload, UploadResult, plan_uploads
from penstock_executor.agent.protocol import AgentTask, AttemptResult, ProcessExit
from penstock_executor.agent.share import Share, log_line
from penstock_executor.agent.tail import log_tail
from penstock_executor.artifacts.output_files import (
    NoTextError,
    NotWrittenError,
    OutputError,
    metadata_text,
    parameter_text,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

T = TypeVar("T")
LOG_PORT = "executor-logs"
NO_WRAPPER = "the program was not started, or left no trace of how it ended"


class PodEndsError(Exception):
    """SIGTERM came before the program had started."""

    def __init__(self) -> None:
        super().__init__("the Pod was ended before its program started")


@dataclass(slots=True)
class Attempt:
    """`open_store` imports what the store needs, and may raise ArtifactStoreError."""

    task: AgentTask
    share: Share
    where: PodFiles
    open_store: Callable[[], ArtifactStore]
    _store: ArtifactStore | None = None
    _loop: AbstractEventLoop | None = None
    _fetching: Task[None] | None = None
    _starting: bool = True
    _ending: bool = False
    _fetched_at: int = 0
    _stored_at: int = 0

    def run(self) -> AttemptResult:
        """The whole attempt, beside a program that the wrapper starts."""
        try:
            signal.signal(signal.SIGTERM, self._on_sigterm)
            # Held back by whoever started this in a process of its own.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            self.share.open_liveness_fifo()
            failed = self._fetch_inputs()
            if failed is not None:
                return failed
            began = self._wait_for_wrapper()
        except PodEndsError as error:
            return AttemptResult(exit=None, failure=(INFRASTRUCTURE, str(error)))
        if began:
            return self.conclude(self.share.wait_for_end())
        # A program may have removed the wrapper's mark before it was seen.
        exit_ = self.share.read_exit()
        result = self.conclude(exit_)
        return result if exit_ is not None else replace(result, failure=(INFRASTRUCTURE, NO_WRAPPER))

    def conclude(self, exit_: ProcessExit | None) -> AttemptResult:
        """The result of a program that the wrapper started and that has ended; `exit_` None: the wrapper wrote none."""
        result = self._timed(self._concluded(exit_))
        if self.task.tail and (exit_ is None or exit_.code != 0 or exit_.signal):
            return replace(result, tail=log_tail(Path(self.task.log)))
        return result

    def _concluded(self, exit_: ProcessExit | None) -> AttemptResult:
        if exit_ is not None and exit_.reason:
            return AttemptResult(
                exit_, log_stored=self._upload_outputs([]).log_stored, failure=(INFRASTRUCTURE, exit_.reason)
            )
        if exit_ is None or exit_.code != 0:
            return AttemptResult(exit=exit_, log_stored=self._upload_outputs([]).log_stored)
        if self._ending:
            text = "the Pod was ended while its program ran, so its outputs were not taken"
            return AttemptResult(exit_, log_stored=self._upload_outputs([]).log_stored, failure=(INFRASTRUCTURE, text))
        return self._collect_outputs(exit_)

    def fetch(self) -> AttemptResult | None:
        """Fetches the inputs of a program without the wrapper, before it starts; returns a result if that failed."""
        try:
            signal.signal(signal.SIGTERM, self._on_sigterm)
            return self._fetch_inputs()
        except PodEndsError as error:
            return AttemptResult(exit=None, failure=(INFRASTRUCTURE, str(error)))

    def attend(self) -> AttemptResult:
        """Uploads the outputs of a program without the wrapper: SIGTERM means that it ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self.share.open_liveness_fifo()
        signal.sigwait({signal.SIGTERM})
        return self._timed(self._collect_outputs(None))

    def store(self) -> ArtifactStore:
        """Raises ArtifactStoreError."""
        if self._store is None:
            self._store = self.open_store()
        return self._store

    def run_coroutine(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine of the store to its end, from synchronous code."""
        return self._event_loop().run_until_complete(work)

    def close(self) -> None:
        """For callers whose process goes on after the attempt."""
        if self._loop is not None:
            self._loop.close()

    def _fetch_inputs(self) -> AttemptResult | None:
        """Raises PodEndsError."""
        try:
            if self.task.inputs:
                self._fetch()
                self._fetched_at = _now()
        except AgentError as error:
            log_line(error.text)
            self.share.failed(error.text)
            return AttemptResult(exit=None, failure=(error.kind, error.text))
        except BaseException:
            self.share.failed("the agent could not go on")
            raise
        self.share.ready()
        return None

    def _wait_for_wrapper(self) -> bool:
        """Whether it has begun, if that can be seen. Raises PodEndsError."""
        try:
            began = self.share.wait_for_wrapper()
        except PodEndsError:
            # It may have started all the same, and have a log.
            if not self.share.has_wrapper():
                raise
            began = True
        self._starting = False
        return began

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        if self._fetching is not None:
            # An exception raised here would surface in whichever callback is running.
            self._event_loop().call_soon_threadsafe(self._fetching.cancel)
        elif self._starting:
            # Once: what follows it is not to be broken off.
            self._starting = False
            raise PodEndsError

    def _event_loop(self) -> AbstractEventLoop:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
        return self._loop

    def _fetch(self) -> None:
        """Raises AgentError, PodEndsError."""
        import asyncio

        from penstock_executor.agent.inputs import fetch_all

        try:
            store = self.store()
        except ArtifactStoreError as error:
            raise AgentError(CONFIGURATION, str(error)) from error
        loop = self._event_loop()
        self._fetching = loop.create_task(fetch_all(store, self.task.inputs, self.task.timeout))
        try:
            loop.run_until_complete(self._fetching)
        except asyncio.CancelledError as error:
            raise PodEndsError from error
        finally:
            self._fetching = None

    def _collect_outputs(self, exit_: ProcessExit | None) -> AttemptResult:
        parameters: dict[str, str | None] = {}
        metadata = None
        try:
            for name, path in self.task.parameters.items():
                file = self.where.checked(path, f"output parameter {name!r}")
                with contextlib.suppress(NotWrittenError):
                    parameters[name] = _text_or_none(name, file)
            if self.task.metadata:
                metadata = metadata_text(self.where.checked(self.task.metadata, "output_metadata.json"))
        except (OutputError, AgentError) as error:
            return AttemptResult(exit_, log_stored=self._upload_outputs([]).log_stored, failure=(USER, str(error)))
        kept = self._upload_outputs(plan_uploads(self.task, metadata, self.where))
        failure = None if kept.failure is None else (kept.failure.kind, kept.failure.text)
        return AttemptResult(exit_, parameters, metadata, kept.stored, kept.log_stored, failure)

    def _upload_outputs(self, uploads: list[Upload]) -> UploadResult:
        log = None
        if self.task.log and Path(self.task.log).exists():
            log = Upload(LOG_PORT, self.task.log, f"{self.task.task_root}/{LOG_PORT}")
        if not uploads and log is None:
            return UploadResult()
        from penstock_executor.agent.uploads import upload_outputs

        try:
            kept = self.run_coroutine(upload_outputs(self.store(), uploads, log, self.where, self.task.timeout))
        except ArtifactStoreError as error:
            return UploadResult(failure=AgentError(CONFIGURATION, str(error)))
        if kept.failure is None and (kept.log_stored or log is None):
            self._stored_at = _now()
        return kept

    def _timed(self, result: AttemptResult) -> AttemptResult:
        return replace(result, fetched_at=self._fetched_at, stored_at=self._stored_at)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _text_or_none(name: str, path: Path) -> str | None:
    try:
        return parameter_text(name, path)
    except NoTextError:
        return None
