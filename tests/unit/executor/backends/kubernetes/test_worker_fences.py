"""What was begun of a run, asked of Pods of which some only pretend to be workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_executor.backends.kubernetes.workers import fences
from penstock_executor.backends.kubernetes.workers.fences import Begun, FencedOffError, Fences
from penstock_executor.backends.kubernetes.workers.fleet import Fleet
from penstock_executor.backends.kubernetes.workers.link import AgentLink
from penstock_executor.backends.kubernetes.workers.worker import Worker
from penstock_kube.client import KubeClient, ObjectList

RUNS = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def pod(name: str, state: Mapping[str, Any] = RUNS) -> Mapping[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "team", "uid": name, "labels": {"penstock.dev/worker": "shape"}},
        "spec": {"containers": []},
        "status": {"phase": "Running", "containerStatuses": [{"name": "agent", "state": state}]},
    }


class Cluster(KubeClient):
    def __init__(self, *pods: Mapping[str, Any]) -> None:
        self._pods = pods

    async def list_all(self, path: str, label_selector: str = "", *, limit: int = 500) -> ObjectList:
        return ObjectList([dict(one) for one in self._pods], "1")


class Workers(Fleet):
    """Whose agents give these answers, by their names; the last one again and again. A Pod that is removed ends."""

    def __init__(self, **answers: list[Mapping[str, Any]]) -> None:
        self._answers = answers
        self.removed: list[str] = []
        self.followed: dict[str, Worker] = {}

    def follow(self, view: PodView) -> Worker:
        answers = self._answers[view.name]

        class Link(AgentLink):
            def __init__(self) -> None:
                """Without a stream."""

            async def ask(self, message: Mapping[str, Any], allowed: Any = None) -> Mapping[str, Any]:
                await asyncio.sleep(0)
                return answers.pop(0) if len(answers) > 1 else answers[0]

        worker = self.followed[view.name] = Worker(view, None, link=Link())
        return worker

    def remove(self, worker: Worker, grace_seconds: int | None = None) -> None:
        self.removed.append(worker.view.name)
        ended = {"exitCode": 0, "message": '{"begun":[]}', "finishedAt": "2026-01-01T00:00:00Z"}
        worker.view = view_of(pod(worker.view.name, {"terminated": ended}))
        worker.gone = True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fences, "_UNTRUE_SECONDS", 0.2)
    yield


async def begun(workers: Workers, *names: str, held: Any = lambda: True) -> Begun:
    asked = Fences(Cluster(*(pod(name) for name in names)), "here", workers)
    try:
        return await asyncio.wait_for(asked.begun("team", "run", 3, held), 5)
    finally:
        asked.close()


def fenced(*attempts: Any) -> Mapping[str, Any]:
    return {"event": "fenced", "attempts": list(attempts)}


@pytest.mark.parametrize(
    "answer",
    [
        {"event": "fenced", "attempts": {"id": "a"}},
        {"event": "fenced"},
        fenced(7),
        fenced({"id": ["a"], "number": 1}),
        fenced({"id": "a" * 10_000}),
        fenced(*({"id": str(number)} for number in range(10_001))),
        {"event": "pong"},
        {"event": "refused", "why": "another executor holds the run"},
    ],
    ids=["no list", "nothing", "no attempt", "no id", "a long id", "too many", "another event", "a lie"],
)
@pytest.mark.usefixtures("impatient")
async def test_one_that_is_not_to_be_believed_is_removed_and_holds_up_nobody(answer: Mapping[str, Any]) -> None:
    workers = Workers(liar=[answer], true=[fenced({"id": "a", "number": 2, "running": True})])
    found = await begun(workers, "liar", "true")
    assert workers.removed == ["liar"]
    assert list(found.attempts) == ["a"] and found.attempts["a"].number == 2 and not found.uncertain
    assert all(worker.awaited == 0 for worker in workers.followed.values())


async def test_one_that_refuses_is_believed_when_the_run_is_lost() -> None:
    held = iter((True, True, False))
    workers = Workers(one=[{"event": "refused"}])
    with pytest.raises(FencedOffError):
        await begun(workers, "one", held=lambda: next(held))
    assert not workers.removed


@pytest.mark.parametrize("number", [True, "7", -1, 2**40, None, [1]])
async def test_numbers_that_cannot_be_are_not_taken(number: object) -> None:
    found = await begun(Workers(one=[fenced({"id": "a", "number": number, "log_token": 7})]), "one")
    assert found.attempts["a"].number == 1 and found.attempts["a"].log_mark == ""


async def test_of_two_that_claim_an_attempt_it_is_the_one_that_can_tell_its_end() -> None:
    claims = {"id": "a", "number": 1, "running": True}
    workers = Workers(one=[fenced(claims)], two=[fenced({**claims, "running": False, "forgotten": True})])
    for order in (("one", "two"), ("two", "one")):
        found = (await begun(workers, *order)).attempts["a"]
        assert cast(Worker, found.worker).view.name == "one" and not found.forgotten


async def test_another_claim_of_the_run_is_another_question() -> None:
    workers = Workers(one=[fenced(), fenced({"id": "a", "number": 1})])
    asked = Fences(Cluster(pod("one")), "here", workers)
    assert not (await asked.begun("team", "run", 3, lambda: True)).attempts
    assert not (await asked.begun("team", "run", 3, lambda: True)).attempts, "the same holder asks once"
    assert list((await asked.begun("team", "run", 4, lambda: True)).attempts) == ["a"]
    asked.close()
