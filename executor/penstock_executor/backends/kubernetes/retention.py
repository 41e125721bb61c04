"""Archives the log of a Pod whose outcome is committed, and removes the Pod after its pipeline's time to live, or by
the installation's policy.

Invariants: a Pod is removed only after its result is committed, and its log is in the store or cannot be had. A bounded
number of Pods is worked on at a time, and a bounded part of a log is kept; what fails is tried again. Pods that an
executor left when it died are found by the collector of orphans.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from penstock_kube.errors import KubeError, NotFoundError
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.results import log_bytes_of, without_frame
from penstock_executor.backends.kubernetes.calls import PodCalls
from penstock_executor.backends.kubernetes.view import PodGlance, PodView
from penstock_executor.backoff import is_transient, retried
from penstock_executor.engine.names import attempt_id

log = logging.getLogger(__name__)

_AT_ONCE = 16
_ARCHIVE_SECONDS = 120.0
_ARCHIVE_TRIES = 5
# A log of up to this size is held in memory, of _AT_ONCE Pods at a time; a larger one goes through a file.
_HELD_BYTES = 1024 * 1024
_FRAME_WINDOW = 96 * 1024 * 1024
# What a file takes at most, and how many files there are at a time: together less than the executor's temporary volume.
_MAX_LOG_BYTES = 256 * 1024 * 1024
_FILES_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long a finished Pod stays, in seconds; None means until its run is deleted."""

    succeeded: float | None = 0.0
    failed: float | None = 0.0

    @staticmethod
    def parse(text: str) -> RetentionPolicy:
        """`always` (removed at once), `success` (failed ones stay), `never`, or seconds. Raises ValueError."""
        if text == "always":
            return RetentionPolicy()
        if text == "success":
            return RetentionPolicy(0.0, None)
        if text == "never":
            return RetentionPolicy(None, None)
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 1e9:
            raise ValueError(f"{text!r} is none of always, success, never, or a number of seconds")
        return RetentionPolicy(seconds, seconds)


@dataclass(frozen=True, slots=True)
class EndedPod:
    """`log_uri` empty: its log is archived already."""

    view: PodView
    succeeded: bool
    log_uri: str = ""


def seconds_kept(ended: EndedPod, policy: RetentionPolicy) -> float | None:
    """From the Pod's end: its pipeline's time to live, or else the policy; None means until its run is deleted."""
    own = ended.view.ttl_succeeded if ended.succeeded else ended.view.ttl_failed
    if own is not None:
        return own
    return policy.succeeded if ended.succeeded else policy.failed


class Retention:
    """`store_for(namespace)` gives the store with the credentials that hold there."""

    def __init__(self, calls: PodCalls, store_for: Callable[[str], ArtifactStore], policy: RetentionPolicy) -> None:
        self._calls = calls
        self._store_for = store_for
        self._policy = policy
        self._ended: asyncio.Queue[EndedPod] = asyncio.Queue()
        self._kept: list[tuple[float, str, PodView]] = []
        self._known: set[str] = set()
        self._kept_changed = asyncio.Event()
        self._files = asyncio.Semaphore(_FILES_AT_ONCE)

    def put(self, ended: EndedPod) -> None:
        """Takes a Pod over; putting the same Pod again changes nothing."""
        if ended.view.uid not in self._known:
            self._known.add(ended.view.uid)
            self._ended.put_nowait(ended)

    def has(self, view: PodView | PodGlance) -> bool:
        return view.uid in self._known

    def gone(self, view: PodView | PodGlance) -> None:
        """The Pod was deleted."""
        self._known.discard(view.uid)

    async def work(self) -> None:
        """Archives and removes until cancelled."""
        await asyncio.gather(self._expire(), *(self._worker() for _ in range(_AT_ONCE)))

    async def archive(self, view: PodView, log_uri: str) -> None:
        """Copies the log of the user's container to the store; when the kubelet has rotated its beginning away, the log
        says so there. Raises KubeError, ArtifactStoreError.
        """
        key, store = view.key, self._store_for(view.namespace)
        main = view.container("main")
        written = log_bytes_of(main.terminated.message) if main is not None and main.terminated is not None else 0
        token = attempt_id(key.run_id, key.path, key.attempt) if key is not None else ""
        async with aclosing(self._calls.log(view.namespace, view.name, "main")) as pieces:
            held = bytearray()
            async for piece in pieces:
                held += piece
                if len(held) > _HELD_BYTES:
                    break
            else:
                program = without_frame(bytes(held), token)
                # Without an agent nothing but the log is stored below an attempt's place.
                write = store.create if view.container("agent") is None else store.write
                await write(_missing(written, len(program)) + program, log_uri)
                return
            async with self._files:
                with tempfile.TemporaryDirectory(prefix="penstock-log-") as directory:
                    spool = Path(directory) / "log"
                    if await _spooled(spool, bytes(held), pieces):
                        await asyncio.to_thread(_cut_frame, spool, token)
                        await asyncio.to_thread(_put_before, spool, _missing(written, spool.stat().st_size))
                    await store.upload(spool, log_uri)

    async def _worker(self) -> None:
        while True:
            ended = await self._ended.get()
            if ended.log_uri:
                await self._archived(ended)
            keep = seconds_kept(ended, self._policy)
            if not ended.view.ended:
                # An orphan that still runs is not kept for inspection.
                keep = 0.0
            if keep is None:
                continue
            left = ended.view.finished_at / 1000 + keep - time.time() if keep else 0.0
            if left > 0:
                heapq.heappush(self._kept, (time.monotonic() + left, ended.view.uid, ended.view))
                self._kept_changed.set()
            else:
                await self._remove(ended.view)

    async def _archived(self, ended: EndedPod) -> None:
        name = ended.view.name
        try:
            await retried(
                lambda: asyncio.wait_for(self.archive(ended.view, ended.log_uri), _ARCHIVE_SECONDS),
                if_=_may_be_archived_later,
                tries=_ARCHIVE_TRIES,
                failed=lambda error: log.warning("Pod %s: its log cannot be archived yet: %s", name, error),
            )
        except NotFoundError:
            return
        except (KubeError, ArtifactStoreError, OSError, asyncio.TimeoutError) as error:
            log.warning("Pod %s: its log cannot be archived: %s", name, error)

    async def _remove(self, view: PodView) -> None:
        try:
            await self._calls.delete(view.namespace, view.name, view.uid)
        except KubeError as error:
            log.error("Pod %s/%s cannot be removed: %s", view.namespace, view.name, error)
        self._known.discard(view.uid)

    async def _expire(self) -> None:
        while True:
            if not self._kept:
                self._kept_changed.clear()
                await self._kept_changed.wait()
            left = self._kept[0][0] - time.monotonic()
            if left > 0:
                await asyncio.sleep(min(left, 5.0))
                continue
            _, _, view = heapq.heappop(self._kept)
            await self._remove(view)


def _may_be_archived_later(error: BaseException) -> bool:
    """Whether archiving may succeed later: nearly always, as when a kubelet is starting or a disk is full for now."""
    if isinstance(error, NotFoundError):
        return False
    return is_transient(error) or isinstance(error, (KubeError, OSError, asyncio.TimeoutError))


async def _spooled(spool: Path, held: bytes, pieces: AsyncGenerator[bytes, None]) -> bool:
    """Writes a log to a file; whether that is all of it."""
    with spool.open("wb") as file:
        left = _MAX_LOG_BYTES - file.write(held)
        async for piece in pieces:
            left -= file.write(piece[:left])
            if left <= 0:
                file.write(f"\n[penstock: of this log the first {_MAX_LOG_BYTES:,} bytes are kept.]\n".encode())
                return False
    return True


def _missing(written: int, kept: int) -> bytes:
    """The first line of a log whose beginning is lost; empty for a whole one."""
    if written <= kept:
        return b""
    text = (
        f"[penstock: the first {written - kept:,} of {written:,} bytes of this log are missing; the kubelet rotated "
        "it, see containerLogMaxSize. A task that hands an artifact on keeps its whole log.]"
    )
    return f"{text}\n".encode()


def _put_before(spool: Path, line: bytes) -> None:
    if not line:
        return
    whole = spool.with_name("whole")
    with spool.open("rb") as source, whole.open("wb") as target:
        target.write(line)
        shutil.copyfileobj(source, target)
    whole.replace(spool)


def _cut_frame(spool: Path, token: str) -> None:
    """Cuts off a result that the wrapper left at the end of the log: it is no output of the program."""
    size = spool.stat().st_size
    start = max(0, size - _FRAME_WINDOW)
    with spool.open("r+b") as file:
        file.seek(start)
        end = file.read()
        without = without_frame(end, token)
        if len(without) != len(end):
            file.seek(start)
            file.write(without)
            file.truncate()
