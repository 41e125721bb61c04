"""Processes that read documents: each way in which one can fail is refused, and the next document is read."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from penstock_server.errors import InvalidArgumentError, PenstockError, ResourceExhaustedError, UnavailableError
from penstock_server.workers.pool import WorkerLimits, Workers

ROOT = Path(__file__).resolve().parents[4]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "PENSTOCK_DATABASE_PASSWORD": "secret"}
MIB = 1 << 20


@pytest.fixture
def pool() -> Iterator[Callable[..., Workers]]:
    made: list[Workers] = []

    def make(**limits: Any) -> Workers:
        made.append(Workers(ENVIRON, WorkerLimits(**limits)))
        return made[-1]

    yield make
    for workers in made:
        workers.close()
        assert workers.pids() == []


def call(workers: Workers, task: str, content: bytes = b"", **values: Any) -> tuple[dict[str, Any], bytes]:
    return workers.call(f"tests.support.worker_tasks:{task}", values, content)


def pid(workers: Workers) -> int:
    return int(call(workers, "echo")[0]["pid"])


def refusal(kind: type[PenstockError], workers: Workers, task: str, **values: Any) -> str:
    with pytest.raises(kind) as refused:
        call(workers, task, **values)
    return refused.value.message


def test_a_process_is_started_when_it_is_needed_and_kept(pool: Callable[..., Workers]) -> None:
    workers = pool()
    assert workers.pids() == []
    values, content = call(workers, "echo", b"x" * (8 * MIB), a=[1, "ä"])
    assert (values["values"], content) == ({"a": [1, "ä"]}, b"x" * (8 * MIB))
    assert values["niceness"] > os.nice(0)
    assert values["oom_score"] == "1000"
    assert workers.pids() == [values["pid"]] == [pid(workers)]


def test_no_secret_of_the_server_is_in_its_variables(pool: Callable[..., Workers]) -> None:
    environ = call(pool(), "echo")[0]["environ"]
    assert "PENSTOCK_DATABASE_PASSWORD" not in environ
    assert environ["PYTHONPATH"] == str(ROOT)


def test_one_that_the_system_kills(pool: Callable[..., Workers]) -> None:
    workers = pool()
    first = pid(workers)
    assert "no memory left" in refusal(ResourceExhaustedError, workers, "die", signal=signal.SIGKILL)
    assert pid(workers) != first


def test_one_that_crashes(pool: Callable[..., Workers]) -> None:
    workers = pool()
    assert "crashed" in refusal(InvalidArgumentError, workers, "die", signal=signal.SIGSEGV)
    assert pid(workers)


def test_one_that_hangs(pool: Callable[..., Workers]) -> None:
    workers = pool(seconds=2.0)
    assert "more than 2 seconds" in refusal(ResourceExhaustedError, workers, "hang")
    assert pid(workers)


def test_one_that_computes_without_end(pool: Callable[..., Workers]) -> None:
    workers = pool(cpu_seconds=0.2)
    assert "0.2 seconds of a processor" in refusal(InvalidArgumentError, workers, "compute")
    assert pid(workers)


def test_time_of_a_processor_is_counted_for_each_task(pool: Callable[..., Workers]) -> None:
    workers = pool(cpu_seconds=1.0)
    assert len({pid(workers) for _ in range(200)}) == 1


def test_one_that_wants_more_memory_than_it_may(pool: Callable[..., Workers]) -> None:
    workers = pool(memory_bytes=512 * MIB)
    assert "more than 512 MiB" in refusal(InvalidArgumentError, workers, "grow", megabytes=1024)
    assert call(workers, "grow", megabytes=64)[0] == {"kept": 64}


def test_one_that_has_grown_gives_way_to_a_new_one(pool: Callable[..., Workers]) -> None:
    """It ends after its reply, perhaps just when the next task comes: that one is not lost."""
    workers = pool()
    for _ in range(5):
        first = call(workers, "hoard", megabytes=200)[0]["pid"]
        assert pid(workers) != first


def test_one_that_was_killed_between_two_tasks_fails_none(pool: Callable[..., Workers]) -> None:
    workers = pool()
    first = psutil.Process(pid(workers))
    first.kill()
    while first.status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()
    assert pid(workers) != first.pid


def test_one_that_leaves_when_a_task_comes_fails_none_unless_it_always_does(pool: Callable[..., Workers]) -> None:
    workers = pool()
    assert pid(workers)
    assert "was ended" in refusal(ResourceExhaustedError, workers, "leave")
    assert pid(workers)


def test_an_error_of_ours_is_none_of_the_document(pool: Callable[..., Workers]) -> None:
    workers = pool()
    with pytest.raises(RuntimeError, match="nobody foresaw"):
        call(workers, "fail")
    assert pid(workers)


def test_few_wait_and_not_for_long(pool: Callable[..., Workers]) -> None:
    workers = pool(waiting=1, wait_seconds=0.2)
    with ThreadPoolExecutor(2) as threads:
        hung = threads.submit(call, workers, "hang")
        until_busy(workers)
        assert "too many" in refusal(ResourceExhaustedError, workers, "echo")
        workers.close()
        assert isinstance(hung.exception(), UnavailableError)
    none_waits = pool(waiting=0)
    with ThreadPoolExecutor(2) as threads:
        hung = threads.submit(call, none_waits, "hang")
        until_busy(none_waits)
        assert "too many" in refusal(ResourceExhaustedError, none_waits, "echo")
        none_waits.close()
        assert isinstance(hung.exception(), UnavailableError)


def test_tasks_under_way_and_waiting_are_refused_when_the_pool_is_closed(pool: Callable[..., Workers]) -> None:
    workers = pool()
    with ThreadPoolExecutor(3) as threads:
        hung = [threads.submit(call, workers, "hang") for _ in range(3)]
        until_busy(workers)
        workers.close()
        assert [type(one.exception(20)) for one in hung] == [UnavailableError] * 3
    assert "stopping" in refusal(UnavailableError, workers, "echo")


def until_busy(workers: Workers) -> None:
    """Until a process is there: it is started by a task, which it then has."""
    while not workers.pids():
        os.sched_yield()
