"""The log of a Pod on an event loop, taken by another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest
from penstock_kube.errors import InvalidError, KubeError, NotFoundError, UnavailableError
from penstock_server import errors
from penstock_server.storage.pod_logs import ClusterPodLog

PIECE = bytes(64 * 1024)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


class Pod:
    """Says `pieces`, then raises `error`, or stays silent if it `stays`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *pieces: bytes, error: KubeError | None = None, stays: bool = False
    ) -> None:
        self._pieces, self._error, self._stays = pieces, error, stays
        self.given = 0
        self.closed = threading.Event()
        self._more = threading.Semaphore(0)
        self.log = ClusterPodLog(loop, self._says(), "pod", self._more.release)

    async def _says(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self._pieces:
                self.given += 1
                yield piece
            if self._stays:
                await asyncio.Event().wait()
            if self._error is not None:
                raise self._error
        finally:
            self.closed.set()

    def comes(self) -> bytes | None:
        """The next bytes; None at the end."""
        while (piece := self.log.take()) == b"":
            assert self._more.acquire(timeout=60)
        return piece


def test_all_comes_in_order_and_then_the_end(loop: asyncio.AbstractEventLoop) -> None:
    pieces = [b"%d " % number * 10_000 for number in range(50)]
    pod = Pod(loop, *pieces)
    got = b""
    while (piece := pod.comes()) is not None:
        got += piece
    assert got == b"".join(pieces)
    assert pod.log.take() is None


def test_a_pod_whose_log_nobody_takes_waits(loop: asyncio.AbstractEventLoop) -> None:
    pod = Pod(loop, *[PIECE] * 100)
    seen = -1
    while seen != pod.given or not seen:
        seen = pod.given
        # What the loop has to do is done before this.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result(60)
    assert pod.given <= 5
    got = 0
    while (piece := pod.comes()) is not None:
        assert len(piece) <= 6 * len(PIECE)
        got += len(piece)
    assert got == 100 * len(PIECE)


@pytest.mark.parametrize("error", [NotFoundError(404, "NotFound", "no"), InvalidError(400, "BadRequest", "not yet")])
def test_a_pod_that_is_gone_or_has_not_begun(loop: asyncio.AbstractEventLoop, error: KubeError) -> None:
    with pytest.raises(errors.NotFoundError):
        Pod(loop, error=error).comes()


def test_a_log_that_breaks_off_is_no_whole_one(loop: asyncio.AbstractEventLoop) -> None:
    pod = Pod(loop, b"said", error=UnavailableError(0, "ConnectionLost", "gone"))
    assert pod.comes() == b"said"
    with pytest.raises(errors.UnavailableError, match="broke off"):
        pod.comes()


def test_who_wants_no_more_closes_the_stream(loop: asyncio.AbstractEventLoop) -> None:
    pod = Pod(loop, b"said", stays=True)
    assert pod.comes() == b"said"
    pod.log.close()
    assert pod.closed.wait(60)
