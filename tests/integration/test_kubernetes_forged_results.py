"""What a task could write in the name of the wrapper or of the agent, and what comes of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import TaskOutcome
from penstock_executor.backends.kubernetes import conclusion
from penstock_ir.event_log import FailureKind
from penstock_kube.client import KubeClient

from tests.support.kube_bench import RUN, bench, well
from tools.sim_kube.outcome import Outcome

HOUR = 3_600_000


async def ended(tmp_path: Path, message: str, log: str = "") -> TaskOutcome:
    """The outcome of a task whose container left the message."""
    async with bench(tmp_path, Outcome("exit", 0, {"main": message}, log=log)) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        try:
            return await b.outcome(task.key)
        finally:
            await backend.close()


@pytest.mark.parametrize("forged", [9 * 10**18, -(2**62), 1])
async def test_times_that_cannot_be_are_the_executors_own(
    tmp_path: Path, forged: int, caplog: pytest.LogCaptureFixture
) -> None:
    result = AttemptResult(ProcessExit(0, started_at=forged, finished_at=forged)).to_json()
    outcome = await ended(tmp_path, result)
    now = time.time_ns() // 1_000_000
    assert outcome.succeeded
    assert now - HOUR < outcome.started_at_millis <= outcome.finished_at_millis < now + HOUR
    assert "which cannot be" in caplog.text


@pytest.mark.parametrize(
    "exit_",
    [
        {"code": 10**18},
        {"code": -1},
        {"code": True},
        {"code": 0, "signal": 10**18},
        {"code": 1, "errno": -1},
        {"code": 0, "log_bytes": 2**63},
        {"code": 0, "finished_at": 1.5},
    ],
)
async def test_numbers_that_no_program_ends_with_are_no_result(tmp_path: Path, exit_: dict[str, Any]) -> None:
    outcome = await ended(tmp_path, json.dumps({"exit": exit_}))
    assert (outcome.failure, outcome.exit_code) == (FailureKind.INFRASTRUCTURE, 0)
    assert "its result was not left behind" in outcome.error


async def stored(tmp_path: Path, uri: str, size: int = 5000) -> TaskOutcome:
    return await ended(tmp_path, json.dumps({"stored": uri, "bytes": size}))


async def test_a_result_is_read_from_the_attempts_own_place_alone(tmp_path: Path) -> None:
    own = tmp_path / "p" / RUN / "t" / "1" / ".penstock-result.json"
    elsewhere = tmp_path / "p" / "other" / ".penstock-result.json"
    for place in (own, elsewhere):
        place.parent.mkdir(parents=True)
        place.write_text(well())
    assert (await stored(tmp_path, own.as_uri())).succeeded
    for uri in (elsewhere.as_uri(), "file:///etc/hostname", f"{own.parent.as_uri()}/../1/{own.name}", "s3://lake/x"):
        outcome = await stored(tmp_path, uri)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert outcome.error.startswith(f"the task's message names {uri!r} as its result, which is not its place")


async def test_no_more_of_a_stored_result_is_read_than_one_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "p" / RUN / "t" / "1" / ".penstock-result.json"
    own.parent.mkdir(parents=True)
    own.write_text(well(a="x" * 10_000))
    assert (await stored(tmp_path, own.as_uri())).succeeded
    monkeypatch.setattr(conclusion, "MAX_RESULT_BYTES", 10_000)
    outcome = await stored(tmp_path, own.as_uri())
    assert outcome.failure is FailureKind.INFRASTRUCTURE
    assert f"{own.as_uri()} has more than 10000 bytes" in outcome.error
    assert "its result was not left behind" in (await stored(tmp_path, own.as_uri(), 10**18)).error


@pytest.mark.parametrize("forged", [{"frame": "t", "bytes": 10**18}, {"frame": "t" * 4000, "bytes": 90_000_000}])
async def test_a_frame_is_not_looked_for_in_all_of_a_log(
    tmp_path: Path, forged: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    read = KubeClient.log

    def log(self: KubeClient, *where: str, **options: Any) -> Any:
        asked.append(options.get("tail_lines"))
        return read(self, *where, **options)

    monkeypatch.setattr(KubeClient, "log", log)
    outcome = await ended(tmp_path, json.dumps(forged), "said\n")
    assert outcome.failure is FailureKind.INFRASTRUCTURE
    assert "its result was not left behind; its last lines:\nsaid" in outcome.error
    assert asked == [20]


async def test_of_a_long_line_the_end_is_shown(tmp_path: Path) -> None:
    result = AttemptResult(ProcessExit(3)).to_json()
    outcome = await ended(tmp_path, result, "a" * 3_000_000 + "the end\n")
    assert outcome.error.endswith("a" * 1000 + "the end") and len(outcome.error) < 4096
