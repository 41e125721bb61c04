"""Whose fault it is that a program in a worker ended by a signal, however far the watch of Pods is behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import TaskOutcome
from penstock_executor.backends.kubernetes.calls import PodCalls
from penstock_executor.backends.kubernetes.view import view_of
from penstock_executor.backends.kubernetes.workers import endings
from penstock_executor.backends.kubernetes.workers.endings import concluded
from penstock_executor.backends.kubernetes.workers.worker import Worker
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError, NotFoundError, UnavailableError

from tests.support.pods import launch

BEGAN = 1767225600000
DELETED: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:31Z", "deletionGracePeriodSeconds": 30}


class Client:
    """An API server that gives one answer, and counts how often it is asked."""

    def __init__(self, answer: Mapping[str, Any] | KubeError) -> None:
        self.asked = 0
        self._answer = answer

    async def get(self, path: str) -> Mapping[str, Any]:
        self.asked += 1
        if isinstance(self._answer, KubeError):
            raise self._answer
        return self._answer


def pod(uid: str = "u", **metadata: Any) -> dict[str, Any]:
    running = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    return {
        "metadata": {
            "name": "w", "namespace": "n", "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z", **metadata
        },
        "status": {"phase": "Running", "containerStatuses": [running]},
    }  # fmt: skip


async def outcome(client: Client, *, code: int = 143, ready: bool = False) -> TaskOutcome:
    """Of an attempt of which the worker has told the end, when the watch has told nothing of the worker's."""
    worker = Worker(view_of(pod()), None, ready=ready)
    attempt = WorkerAttempt(launch(), "n", worker=worker, began_at=BEGAN)
    attempt.result = AttemptResult(exit=ProcessExit(code, started_at=BEGAN, finished_at=BEGAN + 2_000))
    return await concluded(attempt, PodCalls(client, 100.0))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def the_watch_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """By more than anybody waits for it."""
    monkeypatch.setattr(endings, "_STATUS_SECONDS", 0.0)
    monkeypatch.setattr(endings, "_ANSWER_SECONDS", 0.01)


@pytest.mark.parametrize("ready", [False, True], ids=["the agent is silent", "the agent does not know yet"])
async def test_a_pod_that_somebody_deletes_is_not_the_programs_failure(ready: bool) -> None:
    found = await outcome(Client(pod(**DELETED)), ready=ready)
    assert found.failure is FailureKind.INFRASTRUCTURE
    assert "was deleted by somebody else while it ran" in found.error


@pytest.mark.parametrize(
    "answer", [NotFoundError(404, "NotFound", "there is none"), pod(uid="another")], ids=["none", "a namesake"]
)
async def test_a_pod_that_is_gone_was_deleted(answer: Mapping[str, Any] | KubeError) -> None:
    assert (await outcome(Client(answer))).failure is FailureKind.INFRASTRUCTURE


async def test_a_program_that_ends_by_itself_has_failed() -> None:
    found = await outcome(Client(pod()))
    assert (found.failure, found.exit_code) == (FailureKind.USER, 143)


async def test_a_program_that_had_ended_before_has_failed_by_itself() -> None:
    later: dict[str, Any] = {**DELETED, "deletionTimestamp": "2026-01-01T00:10:30Z"}
    assert (await outcome(Client(pod(**later)))).failure is FailureKind.USER


async def test_who_gets_no_answer_does_not_blame_the_program() -> None:
    found = await outcome(Client(UnavailableError(503, "", "it restarts")))
    assert found.failure is FailureKind.INFRASTRUCTURE
    assert "nobody said whether the worker w was being deleted" in found.error


async def test_nobody_is_asked_about_an_exit_that_no_signal_brought() -> None:
    client = Client(pod())
    found = await outcome(client, code=1)
    assert (found.failure, client.asked) == (FailureKind.USER, 0)
