"""Tasks that share warm workers, on the simulated API server with real agents: who gets one, what becomes of what runs
there, and what executors, connections and Pods that go do to it.

What may happen in which order is tried in virtual time (tools/simulate/workers); here are the ways over the wire.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.attempts import TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_executor.backends.kubernetes.workers import fleet
from penstock_executor.backends.kubernetes.workers.link import AgentLink, Message
from penstock_ir.event_log import FailureCause, FailureKind

from tests.support.kube_bench import RUN, Bench, bench
from tests.support.kube_workers import placement, pods_of_workers, started, task, workers
from tools.sim_kube.expansion import Given
from tools.sim_kube.faults import Fault


async def test_tasks_of_one_shape_share_a_pod(tmp_path: Path) -> None:
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend()
        for number in range(5):
            one = task(b, f"t{number}")
            await backend.launch(one)
            outcome = await b.outcome(one.key)
            assert outcome.succeeded and outcome.exit_code == 0, outcome.error
            backend.release(one.key)
        (pod,) = await b.pods()
        assert {placement(b, "t0"), placement(b, "t4")} == {
            f"worker {pod['metadata']['name']}, its {number} task" for number in ("1st", "5th")
        }
        assert all(one.pod_name == pod["metadata"]["name"] for one in b.events if isinstance(one, TaskStarted))
        await backend.close()


async def test_a_hundred_at_once_share_what_the_namespace_allows(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        tasks = [task(b, f"t{number}", {"seconds": 0.01}) for number in range(100)]
        for one in tasks:
            await backend.launch(one)
        for one in tasks:
            assert (await b.outcome(one.key)).succeeded
            backend.release(one.key)
        assert b.kube.stats()["pods_created"] <= 4
        await backend.close()


async def test_another_shape_or_another_run_gets_another_pod(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        other_run = "6c2a7b5e-0000-4000-8000-000000000002"
        first = task(b, "t0")
        tasks = [
            first,
            task(b, "t1", image="another"),
            task(b, "t2", resources={"resourceMemoryLimit": "1Gi"}),
            task(b, "t3", key=replace(first.key, run_id=other_run, path="t3")),
            task(b, "t4", env=(("A", "1"), ("B", "2")), args=("x",)),
        ]
        for one in tasks:
            await backend.launch(one)
            assert (await b.outcome(one.key)).succeeded
            backend.release(one.key)
        used = [one.pod_name for one in b.events if isinstance(one, TaskStarted)]
        assert len(set(used[:4])) == 4
        assert used[4] == used[0], "arguments and variables are the attempt's"
        await backend.close()


async def test_runs_share_where_the_namespace_and_they_say_so(tmp_path: Path) -> None:
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend()
        first = task(b, "t0", workers="namespace")
        other = task(b, "t1", workers="namespace", key=replace(first.key, run_id=RUN.replace("1", "2"), path="t1"))
        for one in (first, other):
            await backend.launch(one)
            assert (await b.outcome(one.key)).succeeded
            backend.release(one.key)
        assert len(await b.pods()) == 1
        await backend.close()


NOT_WARM: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no command": ({"command": ()}, "names no command"),
    "init containers": (
        {"kubernetes": {"initContainers": [{"name": "i", "image": "i", "command": ["true"]}]}},
        "has init containers",
    ),
    "a volume of its own": (
        {
            "kubernetes": {
                "ownVolumes": [{"name": "v", "ephemeral": {}}],
                "ownVolumeMounts": [{"name": "v", "mountPath": "/v"}],
            }
        },
        "lives as long as a Pod",
    ),
    "a mount in a directory that is emptied": (
        {
            "kubernetes": {
                "ownVolumes": [{"name": "v", "emptyDir": {}}],
                "ownVolumeMounts": [{"name": "v", "mountPath": "/tmp/v"}],
            }
        },
        "/tmp/v",
    ),
    "a queue": ({"kubernetes": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}}, "queue of Kueue"),
    "it says so": ({"workers": "off"}, ""),
}


@pytest.mark.parametrize(("fields", "why"), NOT_WARM.values(), ids=NOT_WARM)
async def test_what_cannot_share_has_a_pod_of_its_own_and_says_why(
    tmp_path: Path, fields: Mapping[str, Any], why: str
) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", **fields)
        await backend.launch(one)
        outcome = await b.outcome(one.key)
        assert [pod["metadata"]["name"] for pod in await b.pods()] == [one.pod_name]
        assert (why in outcome.times.placement) and (
            outcome.times.placement.startswith("a Pod of its own") == bool(why)
        )
        await backend.close()


async def echoed(b: Bench, backend: KubernetesBackend, one: TaskLaunch) -> tuple[TaskOutcome, Given]:
    """What the task's program was given."""
    await backend.launch(one)
    outcome = await b.outcome(one.key)
    assert outcome.succeeded, outcome.error
    log = b"".join([piece async for piece in b.client.log("default", outcome.pod_name, "main")])
    (line,) = (line for line in log.splitlines() if line.startswith(b"{"))
    return outcome, Given(**json.loads(line))


async def test_references_come_to_the_same_in_a_worker_and_in_a_pod_of_its_own(tmp_path: Path) -> None:
    async with workers(tmp_path, echo=True) as b:
        backend = await b.backend()
        words = ("--to=$(GREETING)", "$(NAME) $(LATER) $(UNKNOWN) $(date) $$", "$$(NAME)", "$(KFP_POD_NAME)")
        env = (("NAME", "you"), ("GREETING", "hello $(NAME), not $(LATER)"), ("LATER", "$(NAME"))
        shared, shares = await echoed(b, backend, task(b, "t0", args=words, env=env))
        own, alone = await echoed(b, backend, task(b, "t1", args=words, env=env, workers="off"))
        assert shared.times.placement.startswith("worker ") and own.times.placement == ""
        assert alone.words[1:] == [
            "--to=hello you, not $(LATER)", "you $(NAME $(UNKNOWN) $(date) $$", "$you", own.pod_name,
        ]  # fmt: skip
        assert shares.words == [*alone.words[:-1], shared.pod_name]
        of_pod = {"KFP_POD_NAME", "KFP_POD_UID"}
        assert shares.variables.keys() == alone.variables.keys()
        assert {name: shares.variables[name] for name in alone.variables.keys() - of_pod} == {
            name: alone.variables[name] for name in alone.variables.keys() - of_pod
        }
        await backend.close()


async def test_a_reference_to_a_secret_is_the_kubelets_to_expand(tmp_path: Path) -> None:
    async with workers(tmp_path, echo=True) as b:
        backend = await b.backend()
        secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "token"}}}
        outcome, given = await echoed(b, backend, task(b, "t0", args=("$(TOKEN)",), kubernetes={"env": [secret]}))
        assert given.words == ["true", "mine/token"]
        why = "a text refers to the variable TOKEN, whose value only a Pod of its own has"
        assert outcome.times.placement == f"a Pod of its own: {why}"
        outcome, given = await echoed(b, backend, task(b, "t1", kubernetes={"env": [secret]}))
        assert outcome.times.placement.startswith("worker ") and given.variables["TOKEN"] == "mine/token"
        await backend.close()


async def test_what_references_make_too_long_for_a_worker_has_a_pod_of_its_own(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", args=("$(A)$(A)",), env=(("A", "x" * 70_000),))
        await backend.launch(one)
        outcome = await b.outcome(one.key)
        assert outcome.times.placement == ("a Pod of its own: its arguments and variables are more than a worker takes")
        await backend.close()


async def test_a_namespace_that_says_nothing_has_no_workers(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", workers="namespace")
        await backend.launch(one)
        assert (await b.outcome(one.key)).succeeded
        assert [pod["metadata"]["name"] for pod in await b.pods()] == [one.pod_name]
        await backend.close()


async def test_a_program_that_fails_says_how(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", {"exit_code": 3, "log": "first\nlast\n"})
        await backend.launch(one)
        outcome = await b.outcome(one.key)
        assert outcome.failure is FailureKind.USER and outcome.exit_code == 3
        assert outcome.error == "the command exited with code 3; its last lines:\nfirst\nlast"
        await backend.close()


async def test_memory_that_runs_out_is_its_tasks_and_ends_the_worker(tmp_path: Path) -> None:
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend()
        for number, told in enumerate(({"kind": "oom", "seconds": 0.05}, {})):
            one = task(b, f"t{number}", told)
            await backend.launch(one)
            outcome = await b.outcome(one.key)
            backend.release(one.key)
            if told:
                assert outcome.failure is FailureKind.USER and outcome.cause is FailureCause.OUT_OF_MEMORY
        assert outcome.succeeded
        used = [event.pod_name for event in b.events if isinstance(event, TaskStarted)]
        assert used[0] != used[1]
        await backend.close()


@pytest.mark.parametrize("kind", ["evicted", "preempted"])
async def test_a_worker_that_the_platform_ends_is_no_fault_of_its_task(tmp_path: Path, kind: str) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", {"kind": kind, "seconds": 0.05})
        await backend.launch(one)
        outcome = await b.outcome(one.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE and kind[:7] in outcome.error
        assert (outcome.cause is FailureCause.PREEMPTED) == (kind == "preempted")
        await backend.close()


async def test_a_task_is_canceled_while_it_runs_and_while_it_waits(tmp_path: Path) -> None:
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend(cancel_grace_seconds=1)
        runs, waits, then = task(b, "runs", {"kind": "runs-forever"}), task(b, "waits"), task(b, "then")
        await backend.launch(runs)

        await b.until(started(b))
        await backend.launch(waits)
        await backend.cancel(waits.key)
        assert (await b.outcome(waits.key)).failure is FailureKind.CANCELED
        await backend.cancel(runs.key)
        assert (await b.outcome(runs.key)).failure is FailureKind.CANCELED
        for one in (runs, waits):
            backend.release(one.key)
        await backend.launch(then)
        assert (await b.outcome(then.key)).succeeded
        assert placement(b, "then").endswith("2nd task"), "a worker whose task was cancelled goes on"
        await backend.close()


async def test_a_deadline_is_the_tasks_own(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend(cancel_grace_seconds=1)
        one = task(b, "t0", {"kind": "runs-forever"}, deadline_seconds=0.2)
        await backend.launch(one)
        outcome = await b.outcome(one.key)
        assert outcome.failure is FailureKind.USER and "deadline of 0.2 seconds" in outcome.error
        await backend.close()


async def test_a_connection_that_breaks_costs_nothing(tmp_path: Path) -> None:
    async with workers(tmp_path, workersMax="2") as b:
        backend = await b.backend()
        tasks = [task(b, f"t{number}", {"seconds": 0.05}) for number in range(20)]
        for one in tasks:
            await backend.launch(one)
        for one in tasks:
            assert (await b.outcome(one.key)).succeeded
            backend.release(one.key)
            b.kube.execs.cut()
        assert sum(pod["metadata"]["name"].startswith("penstock-worker") for pod in await b.pods()) <= 2
        await backend.close()


async def test_each_result_is_forgotten_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where many are committed together."""
    told: list[str] = []
    ask = AgentLink.ask

    async def spied(self: AgentLink, message: Message, allowed: Callable[[], bool] = lambda: True) -> Message | None:
        answer = await ask(self, message, allowed)
        told.extend([str(message["id"])] if message["op"] == "forget" else [])
        return answer

    monkeypatch.setattr(AgentLink, "ask", spied)
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend()
        tasks = [task(b, f"t{number}", {"seconds": 0}) for number in range(20)]
        for one in tasks:
            await backend.launch(one)
        for one in tasks:
            assert (await b.outcome(one.key)).succeeded
        for one in tasks:
            backend.release(one.key)

        async def all_told() -> bool:
            return len(set(told)) == len(tasks)

        await b.until(all_told)
        # Behind whatever else would be on its way.
        last = task(b, "last", {"seconds": 0})
        await backend.launch(last)
        assert (await b.outcome(last.key)).succeeded
        assert sorted(told) == sorted(set(told))
        await backend.close()


async def test_whoever_takes_a_run_over_goes_on_with_what_runs_in_workers(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        first = await b.backend()
        one = task(b, "t0", {"seconds": 0.5})
        await first.launch(one)

        await b.until(started(b))
        before = [event for event in b.events if isinstance(event, TaskStarted)]
        await first.close()
        b.events.clear()
        b.runs.held_as = 2
        second = await b.backend()
        await second.launch(replace(one, may_exist=True, seen_running=True))
        assert (await b.outcome(one.key)).succeeded
        (again,) = [event for event in b.events if isinstance(event, TaskStarted)]
        assert (again.pod_name, again.times.log_mark) == (before[0].pod_name, before[0].times.log_mark)
        assert b.kube.stats()["pods_created"] == 1
        await second.close()


async def test_what_an_executor_before_may_have_begun_gets_a_pod_of_its_own(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = replace(task(b, "t0"), may_exist=True)
        await backend.launch(one)
        assert (await b.outcome(one.key)).succeeded
        assert [pod["metadata"]["name"] for pod in await b.pods()] == [one.pod_name]
        await backend.close()


async def test_an_idle_worker_goes(tmp_path: Path) -> None:
    async with workers(tmp_path, workersIdleSeconds="1") as b:
        backend = await b.backend()
        one = task(b, "t0")
        await backend.launch(one)
        assert (await b.outcome(one.key)).succeeded
        backend.release(one.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await backend.close()


async def test_workers_are_kept_ready(tmp_path: Path) -> None:
    async with workers(tmp_path, workersIdleSeconds="1", workersMin="2") as b:
        backend = await b.backend()
        one = task(b, "t0", workers="namespace")
        await backend.launch(one)
        assert (await b.outcome(one.key)).succeeded
        backend.release(one.key)

        async def two() -> bool:
            return len(await pods_of_workers(b)) == 2

        await b.until(two)
        await asyncio.sleep(2.5)
        assert await two()
        await backend.close()


async def test_without_the_right_to_exec_tasks_run_without_workers(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        b.kube.faults.add(Fault(status=403, path="/exec", times=None))
        backend = await b.backend()
        one = task(b, "t0")
        await backend.launch(one)
        outcome = await b.outcome(one.key)
        assert outcome.succeeded and "pods/exec" in outcome.times.placement
        await backend.close()


async def test_a_quota_that_has_no_room_for_a_worker(tmp_path: Path) -> None:
    """Its tasks wait for it as any others do."""
    async with workers(tmp_path) as b:
        b.kube.faults.add(
            Fault(
                status=403,
                method="POST",
                path="/pods$",
                times=2,
                message='pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
            )
        )
        backend = await b.backend()
        one = task(b, "t0")
        await backend.launch(one)
        assert (await b.outcome(one.key)).succeeded
        assert any(isinstance(event, TaskWaiting) and "quota" in event.text for event in b.events)
        await backend.close()


async def test_a_worker_of_an_executor_before_is_not_held_on_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gives it anything: it has to find itself alone, to end."""
    monkeypatch.setattr(fleet, "_UNNEEDED_SECONDS", 0.2)
    async with workers(tmp_path) as b:
        first = await b.backend()
        one, then = task(b, "t0", {"seconds": 1.0}), task(b, "t1")
        await first.launch(one)
        await b.until(started(b))
        await first.close()
        b.runs.held_as = 2
        second = await b.backend()
        await second.launch(replace(one, may_exist=True))
        assert (await b.outcome(one.key)).succeeded, "what runs there is followed for as long as it runs"
        assert b.kube.stats()["execs"] == 1
        second.release(one.key)

        async def alone() -> bool:
            return b.kube.stats()["execs"] == 0

        await b.until(alone)
        await second.launch(replace(then, may_exist=True))
        assert (await b.outcome(then.key)).succeeded, "it is asked again when another task may have begun there"
        await second.close()


async def test_an_agent_that_is_killed_ends_its_attempt_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the Pod's end: nobody else could end what runs there."""
    monkeypatch.setattr(fleet, "_ALONE_SECONDS", 0.2)
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", {"kind": "runs-forever"})
        await backend.launch(one)
        await b.until(started(b))
        (pod,) = await b.pods()
        b.kube.node.kill_agent(pod["metadata"]["name"])
        outcome = await b.outcome(one.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE and "the agent of the worker" in outcome.error
        assert await b.pods() == []
        await backend.close()


async def test_the_pod_of_a_worker_without_agent_goes_when_it_has_nothing_to_tell(tmp_path: Path) -> None:
    """Also when nobody is there any more who made it."""
    async with workers(tmp_path) as b:
        first = await b.backend()
        one = task(b, "t0")
        await first.launch(one)
        assert (await b.outcome(one.key)).succeeded
        first.release(one.key)
        (pod,) = await b.pods()

        async def forgotten() -> bool:
            return b.kube.node.agent_message(pod["metadata"]["name"]) == '{"begun":[]}'

        await b.until(forgotten)
        await first.close()
        b.kube.node.kill_agent(pod["metadata"]["name"])
        second = await b.backend()

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await second.close()


async def test_a_worker_whose_first_process_was_killed_is_given_nothing(tmp_path: Path) -> None:
    """An agent that waits for an attempt does not notice."""
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend()
        one, then = task(b, "t0"), task(b, "t1")
        await backend.launch(one)
        assert (await b.outcome(one.key)).succeeded
        backend.release(one.key)
        (pod,) = await b.pods()
        b.kube.node.kill_main(pod["metadata"]["name"])

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await backend.launch(then)
        outcome = await b.outcome(then.key)
        assert outcome.succeeded, outcome.error
        await backend.close()
