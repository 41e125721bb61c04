"""The reflector under every fault of a watch, on the simulated server.

Invariant: nothing waits for a time to pass; every wait is for a state, and every fault is one that the test made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from penstock_kube import client as client_module
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.reflector import EventKind, Reflector, ReflectorTiming

from tools.sim_kube.faults import Fault
from tools.sim_kube.node import Latency
from tools.sim_kube.objects import PODS, RESOURCES
from tools.sim_kube.server import SimKube

PATH = "/api/v1/namespaces/default/configmaps"
HASTY = ReflectorTiming(lifetime=(60.0, 60.0), backoff=(0.001, 0.01), stall=30.0)
ADDED, MODIFIED, DELETED = EventKind.ADDED, EventKind.MODIFIED, EventKind.DELETED
Item = tuple[str, str]


class Mirror:
    """A server, a reflector of its ConfigMaps as (name, value), and what it told."""

    def __init__(self, server: SimKube, client: KubeClient, **options: Any) -> None:
        self.server = server
        self.client = client
        self.told: list[tuple[EventKind, Item]] = []
        self._changed = asyncio.Event()
        options.setdefault("timing", HASTY)
        self.reflector: Reflector[Item] = Reflector(
            client,
            PATH,
            trim=lambda item: (item["metadata"]["name"], item["data"]["v"]),
            on_event=self._take,
            **options,
        )

    def _take(self, kind: EventKind, item: Item) -> None:
        self.told.append((kind, item))
        self._changed.set()

    @property
    def cache(self) -> dict[str, str]:
        return {name: value for name, (_, value) in self.reflector.cache.items()}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with _limit():
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def put(self, name: str, value: str, **labels: str) -> None:
        if name in {stored.name for stored in self.server.store.select(_MAPS, "default", lambda _: True)}:
            await self.client.patch_merge(f"{PATH}/{name}", {"data": {"v": value}})
        else:
            await self.client.create(PATH, {"metadata": {"name": name, "labels": labels}, "data": {"v": value}})

    async def drop(self, name: str) -> None:
        await self.client.delete(f"{PATH}/{name}")

    async def watches(self, count: int) -> None:
        """Until that many are open."""
        async with _limit():
            while self.server.watching.open != count:
                await asyncio.sleep(0)

    @property
    def requests(self) -> int:
        return self.server.requests["GET configmaps"]


_MAPS = RESOURCES["", "configmaps"]


@contextlib.asynccontextmanager
async def _limit() -> AsyncIterator[None]:
    """Fails instead of waiting for ever."""
    task = asyncio.current_task()
    assert task is not None
    handle = asyncio.get_running_loop().call_later(30, task.cancel)
    try:
        yield
    finally:
        handle.cancel()


@contextlib.asynccontextmanager
async def mirrored(*, running: bool = True, **options: Any) -> AsyncIterator[Mirror]:
    async with (
        SimKube(bookmark_seconds=30) as server,
        KubeClient(Cluster(server.url, None, dict, "default"), deadline=5.0) as client,
    ):
        mirror = Mirror(server, client, **options)
        task = asyncio.create_task(mirror.reflector.run())
        try:
            if running:
                await asyncio.wait_for(mirror.reflector.synced(), 30)
                await mirror.watches(1)
            yield mirror
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_a_list_that_fails_is_repeated() -> None:
    async with mirrored(running=False) as mirror:
        mirror.server.faults.add(Fault("status", 503, method="GET", path="configmaps", times=4))
        await mirror.put("a", "1")
        await asyncio.wait_for(mirror.reflector.synced(), 30)
        await mirror.until(lambda: mirror.cache == {"a": "1"})


async def test_chunks_make_one_mirror() -> None:
    async with SimKube() as server, KubeClient(Cluster(server.url, None, dict, "default")) as client:
        mirror = Mirror(server, client, page=2)
        for name in "abcde":
            await mirror.put(name, "1")
        task = asyncio.create_task(mirror.reflector.run())
        await asyncio.wait_for(mirror.reflector.synced(), 30)
        assert mirror.told == [(ADDED, (name, "1")) for name in "abcde"]
        assert mirror.requests >= 3
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_changes_are_told_in_their_order() -> None:
    async with mirrored() as mirror:
        await mirror.put("a", "1")
        await mirror.put("a", "2")
        await mirror.drop("a")
        await mirror.until(lambda: len(mirror.told) == 3)
        assert mirror.told == [(ADDED, ("a", "1")), (MODIFIED, ("a", "2")), (DELETED, ("a", "2"))]
        assert mirror.cache == {}


async def test_only_what_the_selector_selects() -> None:
    async with mirrored(label_selector="mark=ours") as mirror:
        await mirror.put("no", "1", mark="other")
        await mirror.put("yes", "1", mark="ours")
        await mirror.until(lambda: bool(mirror.told))
        assert mirror.cache == {"yes": "1"}


async def test_a_watch_that_is_cut_goes_on_where_it_was() -> None:
    async with mirrored() as mirror:
        await mirror.put("a", "1")
        await mirror.until(lambda: "a" in mirror.cache)
        before = mirror.requests
        mirror.server.watching.cut()
        await mirror.put("b", "1")
        await mirror.drop("a")
        await mirror.until(lambda: mirror.cache == {"b": "1"})
        assert mirror.told == [(ADDED, ("a", "1")), (ADDED, ("b", "1")), (DELETED, ("a", "1"))]
        # Another watch and no list.
        assert mirror.requests == before + 1


async def test_what_happened_before_a_compaction_is_found_by_the_next_list() -> None:
    async with mirrored() as mirror:
        for name in "abc":
            await mirror.put(name, "1")
        await mirror.until(lambda: len(mirror.cache) == 3)
        mirror.server.watching.stall(True)
        await mirror.drop("a")
        await mirror.put("b", "2")
        await mirror.put("d", "1")
        mirror.server.store.compact()
        mirror.server.watching.cut()
        mirror.server.watching.stall(False)
        await mirror.until(lambda: mirror.cache == {"b": "2", "c": "1", "d": "1"})
        assert sorted(mirror.told[3:], key=str) == sorted(
            [(MODIFIED, ("b", "2")), (ADDED, ("d", "1")), (DELETED, ("a", "1"))], key=str
        )


async def test_an_object_replaced_unseen_is_told_as_two() -> None:
    async with mirrored() as mirror:
        await mirror.put("a", "1")
        await mirror.until(lambda: "a" in mirror.cache)
        mirror.server.watching.stall(True)
        await mirror.drop("a")
        await mirror.put("a", "2")
        mirror.server.store.compact()
        mirror.server.watching.cut()
        mirror.server.watching.stall(False)
        await mirror.until(lambda: mirror.cache == {"a": "2"})
        assert mirror.told[1:] == [(DELETED, ("a", "1")), (ADDED, ("a", "2"))]


async def test_events_that_come_twice_are_told_once() -> None:
    async with mirrored() as mirror:
        mirror.server.watching.repeat = 1.0
        for value in "123":
            await mirror.put("a", value)
        await mirror.drop("a")
        await mirror.put("b", "1")
        await mirror.until(lambda: "b" in mirror.cache)
        # What is told twice comes in the next write; this is after it.
        await mirror.put("c", "1")
        await mirror.until(lambda: "c" in mirror.cache)
        told = [(kind, item) for kind, item in mirror.told if item[0] == "a"]
        assert told == [(ADDED, ("a", "1")), (MODIFIED, ("a", "2")), (MODIFIED, ("a", "3")), (DELETED, ("a", "3"))]
        assert len(mirror.told) == 6


async def test_a_watch_that_stalls_is_cut() -> None:
    async with mirrored(timing=ReflectorTiming(lifetime=(60.0, 60.0), backoff=(0.001, 0.01), stall=0.2)) as mirror:
        mirror.server.watching.stall(True)
        await mirror.put("a", "1")
        # The server stays silent on the first; it is given up and another one opened.
        await mirror.watches(0)
        mirror.server.watching.stall(False)
        await mirror.until(lambda: mirror.cache == {"a": "1"})


async def test_a_server_that_fell_behind_is_listed_again() -> None:
    """As one that was restored from a backup: versions begin again below those that were told."""

    async with mirrored(timing=ReflectorTiming(lifetime=(60.0, 60.0), backoff=(0.001, 0.01), stall=0.2)) as mirror:
        await mirror.put("a", "1")
        await mirror.until(lambda: "a" in mirror.cache)
        await mirror.server.stop()
        restored = SimKube()
        await restored.start(int(mirror.server.url.rpartition(":")[2]))
        try:
            document = {"metadata": {"name": "b"}, "data": {"v": "1"}}
            await mirror.client.create(PATH, document)
            await mirror.until(lambda: mirror.cache == {"b": "1"})
        finally:
            await restored.close()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 500, path="configmaps"),
        Fault("status", 503, path="configmaps"),
        Fault("status", 403, path="configmaps"),
        Fault("drop", path="configmaps"),
    ],
    ids=["500", "503", "403", "drop"],
)
async def test_it_never_gives_up(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    # The client repeats reads by itself; with pauses longer than its deadline it leaves every failure to the reflector.
    monkeypatch.setattr(client_module, "_BACKOFF", (1e9, 1e9))

    async with mirrored() as mirror:
        mirror.server.faults.add(Fault(**{**vars(fault), "method": "GET", "times": 25}))
        mirror.server.watching.cut()
        await mirror.put("a", "1")
        await mirror.until(lambda: mirror.cache == {"a": "1"})


async def test_a_server_that_restarts() -> None:
    async with mirrored() as mirror:
        await mirror.put("a", "1")
        await mirror.put("b", "1")
        await mirror.until(lambda: len(mirror.cache) == 2)
        await mirror.server.stop()
        stored = mirror.server.store.get(_MAPS, "default", "a")
        assert stored is not None
        mirror.server.store.remove(stored)
        mirror.server.store.compact()
        await mirror.server.start()
        await mirror.until(lambda: mirror.cache == {"b": "1"})
        assert mirror.told[2:] == [(DELETED, ("a", "1"))]


async def test_a_listener_that_raises_misses_nothing_else() -> None:
    async with mirrored() as mirror:
        take = mirror._take

        def picky(kind: EventKind, item: Item) -> None:
            take(kind, item)
            if item[0] == "bad":
                raise ValueError("picky")

        mirror.reflector._on_event = picky
        await mirror.put("bad", "1")
        await mirror.client.create(PATH, {"metadata": {"name": "worse"}})
        await mirror.put("good", "1")
        await mirror.until(lambda: "good" in mirror.cache)
        # What cannot be trimmed is left out.
        assert mirror.cache == {"bad": "1", "good": "1"}


async def test_a_short_life_is_followed_by_the_next_without_a_list() -> None:
    async with mirrored(timing=ReflectorTiming(lifetime=(1.0, 1.0), backoff=(0.001, 0.01), stall=30.0)) as mirror:
        await mirror.put("a", "1")
        await mirror.until(lambda: "a" in mirror.cache)
        opened = mirror.requests
        async with _limit():
            while mirror.requests == opened:
                await asyncio.sleep(0.01)
        await mirror.put("b", "1")
        await mirror.until(lambda: "b" in mirror.cache)
        assert [kind for kind, _ in mirror.told] == [ADDED, ADDED]


async def test_pods_are_mirrored_to_their_end_under_cuts_and_repetitions() -> None:
    """Ends of 200 Pods reach the listener, each once, while the watch is cut, repeated and compacted."""

    path = "/api/v1/namespaces/default/pods"
    succeeded: dict[str, int] = {}
    gone: dict[str, int] = {}
    news = asyncio.Event()

    def take(kind: EventKind, item: tuple[str, str]) -> None:
        name, phase = item
        if kind is DELETED:
            gone[name] = gone.get(name, 0) + 1
        elif phase == "Succeeded":
            succeeded[name] = succeeded.get(name, 0) + 1
        news.set()

    def trim(pod: dict[str, Any]) -> tuple[str, str]:
        return pod["metadata"]["name"], pod["status"]["phase"]

    async with SimKube(latency=Latency(0.05), seed=7) as server:
        server.watching.repeat = 0.3
        async with KubeClient(Cluster(server.url, None, dict, "default")) as client:
            reflector = Reflector(client, path, trim=trim, on_event=take, page=50, timing=HASTY)
            task = asyncio.create_task(reflector.run())
            await asyncio.wait_for(reflector.synced(), 30)
            spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}]}
            for number in range(200):
                await client.create(path, {"metadata": {"name": f"p{number}"}, "spec": spec})
                if number % 20 == 10:
                    if number % 40 == 10:
                        server.store.compact()
                    server.watching.cut()
            async with _limit():
                while len(succeeded) < 200:
                    news.clear()
                    await news.wait()
            for number in range(200):
                await client.delete(f"{path}/p{number}")
                if number % 50 == 25:
                    server.store.compact()
                    server.watching.cut()
            async with _limit():
                while len(gone) < 200:
                    news.clear()
                    await news.wait()
            assert not reflector.cache and not list(server.store.select(PODS, "", lambda _: True))
            assert set(gone.values()) == {1}
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
