"""When an attempt came to its phases, as its Pod's status and its agent's result say."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import NO_TIMES, AttemptTimes
from penstock_executor.backends.kubernetes.pod_times import pod_times, program_ran
from penstock_executor.backends.kubernetes.view import PodView, view_of

AT = 1767225600000
NOW = AT + 600_000


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"


def ran(name: str, start: int, end: int, code: int = 0, reason: str = "Completed") -> dict[str, Any]:
    state = {"exitCode": code, "reason": reason, "startedAt": at(start), "finishedAt": at(end)}
    return {"name": name, "state": {"terminated": state}}


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), scheduled: str = at(2)) -> PodView:
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled}]
    status = {
        "phase": "Succeeded",
        "conditions": conditions,
        "containerStatuses": list(containers),
        "initContainerStatuses": list(init),
    }
    metadata = {"name": "p", "namespace": "n", "uid": "u", "creationTimestamp": at(1)}
    return view_of({"metadata": metadata, "spec": {"nodeName": "n1"}, "status": status})


def seconds(times: AttemptTimes) -> tuple[float, ...]:
    """In the order of the phases, from the Pod's beginning; 0 for what is not known."""
    names = ("placed", "scheduled", "prepared", "fetched", "started", "finished", "stored")
    told = [getattr(times, name) for name in names]
    return tuple((one - AT) / 1000 if one else 0 for one in told)


def result(fetched: int = 0, stored: int = 0) -> AttemptResult:
    return AttemptResult(
        ProcessExit(0), fetched_at=AT + fetched if fetched else 0, stored_at=AT + stored if stored else 0
    )


def test_a_pod_without_agent() -> None:
    times = pod_times(pod(ran("main", 9, 20)), NOW, result(), started=AT + 9_250, finished=AT + 19_900)
    assert seconds(times) == (1, 2, 9, 0, 9.25, 19.9, 0)
    assert times.node == "n1"


@pytest.mark.parametrize(
    ("main", "agent", "fetched", "prepared"),
    [
        (5, 6, 12, 6),  # The agent's image came after the program's.
        (9, 6, 12, 9),  # It waited for the program's container.
        (13, 6, 13, 13),  # It was done before the program's image was there.
    ],
)
def test_a_program_that_waits_for_its_agent(main: int, agent: int, fetched: int, prepared: int) -> None:
    view = pod(ran("main", main, 20), ran("agent", agent, 25))
    told = result(fetched=12_000, stored=24_500)
    times = pod_times(view, NOW, told, started=AT + 13_500, finished=AT + 20_000)
    assert seconds(times) == (1, 2, prepared, fetched, 13.5, 20, 24.5)


def test_an_agent_that_only_stores_does_not_hold_the_program_up() -> None:
    view = pod(ran("main", 5, 20), ran("agent", 9, 25))
    times = pod_times(view, NOW, result(stored=24_500), started=AT + 5_100, finished=AT + 20_000)
    assert seconds(times) == (1, 2, 5, 0, 5.1, 20, 24.5)


def test_an_init_container_that_fetches() -> None:
    """Of a program that keeps its image's entrypoint."""
    view = pod(ran("main", 9, 20), init=(ran("agent-fetch", 4, 7), ran("agent", 8, 22)))
    assert seconds(pod_times(view, NOW, started=AT + 9_000)) == (1, 2, 4, 7, 9, 0, 0)
    failed = pod(init=(ran("agent-fetch", 4, 7, code=1),))
    assert seconds(pod_times(failed, NOW, started=0)) == (1, 2, 4, 0, 0, 0, 0)


def test_a_result_of_the_release_before_tells_the_rest() -> None:
    old = AttemptResult.from_json('{"exit":{"code":0},"log_stored":true}')
    times = pod_times(pod(ran("main", 9, 20), ran("agent", 6, 25)), NOW, old, started=AT + 12_000, finished=AT + 20_000)
    assert seconds(times) == (1, 2, 9, 0, 12, 20, 0)


def test_what_cannot_be_true_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    view = pod(ran("main", 9, 20), scheduled="9999-01-01T00:00:00Z")
    told = AttemptResult(ProcessExit(0), fetched_at=2**63, stored_at=-1)
    assert seconds(pod_times(view, NOW, told, started=AT + 9_000)) == (1, 0, 9, 0, 9, 0, 0)
    assert caplog.text.count("cannot be") == 3
    assert pod_times(view_of({}), NOW, started=0) == NO_TIMES


@pytest.mark.parametrize(
    ("found", "wrapped", "expected"),
    [
        (None, True, True),
        (AttemptResult(ProcessExit(1)), True, True),
        (AttemptResult(ProcessExit(127, errno=2)), True, False),
        (AttemptResult(ProcessExit(125, reason="the inputs did not come")), True, False),
        (AttemptResult(ProcessExit(125)), True, True),
        (AttemptResult(None, failure=("user", "an input is gone")), True, False),
        (AttemptResult(None, failure=("user", "an output is too long")), False, True),
        (AttemptResult(None), True, True),
    ],
)
def test_whether_the_program_ran(found: AttemptResult | None, wrapped: bool, expected: bool) -> None:
    assert program_ran(pod(ran("main", 9, 20)), found, wrapped=wrapped) is expected


def test_a_container_that_could_not_be_started_ran_nothing() -> None:
    assert not program_ran(pod(ran("main", 9, 9, code=128, reason="StartError")), None, wrapped=True)
    assert not program_ran(pod(), None, wrapped=True)
