"""A reflector that reads only what somebody works with tells and has what one tells and has that reads everything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from penstock_kube.client import KubeClient, ObjectList
from penstock_kube.config import Cluster
from penstock_kube.reflector import EventKind, Reflector
from penstock_kube.skim import Skimmed
from penstock_kube.skimming import SkimmingReflector

from tools.sim_kube.node import Latency
from tools.sim_kube.server import SimKube

PATH = "/api/v1/namespaces/default/pods"
NAMES = ("a", "b", "c")
Read = tuple[str, str, str, str]
Glanced = tuple[str, str]


def read(pod: dict[str, Any]) -> Read:
    metadata = pod["metadata"]
    return metadata["name"], metadata["uid"], metadata["resourceVersion"], pod["spec"]["nodeName"]


class Both:
    """A server's Pods, as two reflectors mirror them; `followed` are those that the second one is to read."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.followed: set[str] = set()
        self.told: list[tuple[EventKind, str, str]] = []
        self.told_by_look: list[tuple[EventKind, str, str]] = []
        self.in_full: list[str] = []
        client: Any = self
        self.plain: Reflector[Read] = Reflector(
            client, PATH, trim=read, on_event=lambda kind, one: self.told.append((kind, one[0], one[1]))
        )
        self.skimming: SkimmingReflector[Read, Glanced] = SkimmingReflector(
            client, PATH, trim=read, on_event=self._read, skim=self._skim, on_skimmed=self._skimmed
        )

    def _skim(self, skimmed: Skimmed) -> Glanced | None:
        metadata = skimmed.metadata
        return None if metadata["name"] in self.followed else (metadata["name"], metadata["uid"])

    def _read(self, kind: EventKind, one: Read) -> None:
        self.told_by_look.append((kind, one[0], one[1]))
        self.in_full.append(one[0])

    def _skimmed(self, kind: EventKind, one: Glanced) -> None:
        self.told_by_look.append((kind, *one))

    async def pages(self, *_: Any, **__: Any) -> AsyncGenerator[ObjectList, None]:
        yield ObjectList([json.loads(json.dumps(one)) for one in self.pods.values()], str(self.version))

    def do(self, action: str, name: str) -> None:
        """`unseen` changes come with the next list alone."""
        if action == "follow":
            self.followed.add(name)
            # As a launch does that finds its Pod there.
            self.skimming.cache.get(name)
        elif action == "leave":
            self.followed.discard(name)
        elif action == "list":
            asyncio.run(self._list())
        else:
            self._change(action, name)

    async def _list(self) -> None:
        await self.plain._list()
        await self.skimming._list()

    def _change(self, action: str, name: str) -> None:
        self.version += 1
        known = self.pods.pop(name, None)
        kind = "DELETED"
        if "delete" not in action:
            kind = "ADDED" if known is None else "MODIFIED"
            uid = known["metadata"]["uid"] if known is not None and "replace" not in action else f"u{self.version}"
            # Of one of them the name is not where it usually is.
            metadata: dict[str, Any] = {"annotations": {"long": 300 * "x"}} if name == "c" else {}
            metadata |= {"name": name, "uid": uid, "resourceVersion": str(self.version)}
            known = {"metadata": metadata, "spec": {"nodeName": f"n{self.version}"}, "status": {"phase": "Running"}}
            self.pods[name] = known
        elif known is not None:
            known["metadata"]["resourceVersion"] = str(self.version)
        if known is not None and not action.startswith("unseen"):
            whole = {"kind": "Pod", "apiVersion": "v1", **known}
            line = json.dumps({"type": kind, "object": whole}, separators=(",", ":")).encode()
            for reflector in (self.plain, self.skimming):
                reflector._apply_line(line)
                # As it comes again after a watch that was cut.
                reflector._apply_line(line)


ACTIONS = (
    "put", "put", "put", "delete", "follow", "leave", "list", "unseen put", "unseen delete", "unseen replace",
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(NAMES)), max_size=25), st.booleans())
def test_both_tell_and_have_the_same(actions: list[tuple[str, str]], asks: bool) -> None:
    both = Both()
    for action, name in actions:
        both.do(action, name)
        assert both.told == both.told_by_look or action == "list"
        assert sorted(both.plain.cache) == sorted(both.skimming.cache)
        assert {one[0] for one in both.skimming.known()} == set(both.plain.cache)
        peeked = [both.skimming.peek(one) for one in NAMES]
        assert [one and one[1] for one in peeked] == [
            both.plain.cache[one][1] if one in both.plain.cache else None for one in NAMES
        ]
        if asks:
            assert dict(both.plain.cache) == dict(both.skimming.cache)
    # A list tells what is gone in an order of its own.
    assert sorted(map(str, both.told)) == sorted(map(str, both.told_by_look))
    assert dict(both.plain.cache) == dict(both.skimming.cache)
    assert len(both.plain.cache) == len(both.skimming.cache)


def test_who_begins_to_work_with_a_pod_hears_of_its_end() -> None:
    for last in ("delete", "unseen delete", "unseen replace"):
        both = Both()
        both.do("put", "a")
        both.do("put", "b")
        assert not both.in_full
        # Nobody has asked for it: the event is what tells.
        both.followed.add("a")
        both.do(last, "a")
        both.do(last, "b")
        both.do("list", "")
        assert both.in_full.count("a") == both.told_by_look.count((EventKind.DELETED, "a", "u1")) + ("put" in last) + (
            last == "unseen replace"
        )
        assert both.told_by_look.count((EventKind.DELETED, "b", "u2")) == 1


async def test_pods_of_a_server_are_looked_at_alone() -> None:
    read_ones: list[str] = []
    looked_at: set[str] = set()
    done = asyncio.Event()

    def skimmed(kind: EventKind, name: str) -> None:
        looked_at.add(name)
        if kind is EventKind.DELETED:
            done.set()

    async with (
        SimKube(latency=Latency(0.01)) as server,
        KubeClient(Cluster(server.url, None, dict, "default")) as client,
    ):
        reflector: SkimmingReflector[str, str] = SkimmingReflector(
            client,
            PATH,
            trim=lambda pod: str(pod["spec"]["containers"][0]["image"]),
            on_event=lambda kind, image: read_ones.append(image),
            skim=lambda one: one.metadata["name"] if one.metadata["labels"]["of"] == "another" else None,
            on_skimmed=skimmed,
        )
        running = asyncio.create_task(reflector.run())
        await asyncio.wait_for(reflector.synced(), 30)
        for owner in ("another", "mine"):
            spec = {"containers": [{"name": "main", "image": f"image of {owner}"}]}
            await client.create(PATH, {"metadata": {"name": owner, "labels": {"of": owner}}, "spec": spec})
        await client.delete(f"{PATH}/another", grace_seconds=0)
        await asyncio.wait_for(done.wait(), 30)
        running.cancel()
    assert looked_at == {"another"}
    assert set(read_ones) == {"image of mine"}
