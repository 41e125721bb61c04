"""References `$(NAME)`: a program in a worker gets what it would get in a Pod of its own, or it has one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.view import view_of
from penstock_executor.backends.kubernetes.workers.choice import why_not
from penstock_executor.backends.kubernetes.workers.instructions import instructions, is_too_long
from penstock_executor.backends.kubernetes.workers.worker_pod import worker_pod
from penstock_store.config import StoreConfig

from tests.support.pods import launch, main_of
from tools.sim_kube.expansion import Given, given_to
from tools.testing.pod_settings import POLICY, SETTINGS

UID = "0a1b2c3d-0000-4000-8000-000000000009"
SECRET = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}


def told(task: TaskLaunch, policy: NamespacePolicy = POLICY) -> Given:
    """In a worker that has the name and the uid of the task's own Pod."""
    store = TaskStore(StoreConfig(), task)
    pod = worker_pod(task, SETTINGS, policy, store, frozenset(), "run")
    pod["metadata"].update(name=task.pod_name, uid=UID)
    message = instructions(task, SETTINGS, policy, store).message(view_of(pod), 1, "mark")
    there = given_to(main_of(pod), pod["metadata"]).variables
    return Given(_program(message["arguments"]), {**there, **message["variables"]})


def alone(task: TaskLaunch, policy: NamespacePolicy = POLICY) -> Given:
    pod = make_pod(task, SETTINGS, policy, TaskStore(StoreConfig(), task))
    pod["metadata"]["uid"] = UID
    found = given_to(main_of(pod), pod["metadata"])
    return Given(_program(found.words), found.variables)


def _program(words: Sequence[str]) -> list[str]:
    return list(words[words.index("--") + 1 :])


def reason(task: TaskLaunch, policy: NamespacePolicy = POLICY) -> str:
    return why_not(task, SETTINGS, policy, TaskStore(StoreConfig(), task))


def template(*env: dict[str, Any]) -> NamespacePolicy:
    return replace(POLICY, pod_template={"spec": {"containers": [{"name": "main", "env": list(env)}]}})


def named(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


PLAIN = launch("train")


@pytest.mark.parametrize(
    ("word", "program_gets"),
    [
        ("$(A)", "1"),
        ("--pod=$(KFP_POD_NAME)/$(KFP_POD_UID)", f"--pod=my-run-train-0123456789abcdef/{UID}"),
        ("$(KFP_RETRY_INDEX)$(KFP_RETRY_INDEX)", "00"),
        ("$(UNKNOWN) $(date) $HOME $$ $", "$(UNKNOWN) $(date) $HOME $$ $"),
        ("$$(A)", "$1"),
        ("$(A", "$(A"),
        ("$(B)", "1-$(C)"),
        ("$(C)", "c$$"),
    ],
)
def test_a_word_of_the_command(word: str, program_gets: str) -> None:
    task = launch("train", args=(word,), env=(("A", "1"), ("B", "$(A)-$(C)"), ("C", "c$$")))
    assert reason(task) == ""
    assert told(task).words == ["train", program_gets] == alone(task).words


NAMES = ("A", "B", "C", "KEY", "KFP_POD_NAME", "KFP_POD_UID", "OTHER")
TEXTS = st.lists(
    st.sampled_from([*(f"$({name})" for name in NAMES), "$", "$$", "$(", ")", "(", "x", "$(A", "é", "\n"]), max_size=6
).map("".join)


@given(
    env=st.lists(st.tuples(st.sampled_from(NAMES[:3]), TEXTS), max_size=4).map(tuple),
    args=st.lists(TEXTS, max_size=2).map(tuple),
    secret=st.booleans(),
    of_template=st.dictionaries(st.sampled_from(("A", "OTHER", "MORE")), TEXTS, max_size=2),
)
def test_a_worker_and_a_pod_of_its_own_give_the_same(
    env: tuple[tuple[str, str], ...], args: tuple[str, ...], secret: bool, of_template: dict[str, str]
) -> None:
    task = launch("train", args=args, env=env, kubernetes={"env": [SECRET]} if secret else {})
    policy = template(*({"name": name, "value": value} for name, value in of_template.items()))
    if reason(task, policy):
        assert secret or of_template
        return
    in_worker, in_pod = told(task, policy), alone(task, policy)
    assert in_worker == in_pod


UNKNOWN: Mapping[str, tuple[TaskLaunch, NamespacePolicy, str]] = {
    "a Secret's value": (launch("train", "$(KEY)", kubernetes={"env": [SECRET]}), POLICY, "KEY"),
    "the root": (launch("train", task_root="s3://bucket/$(KEY)/x", kubernetes={"env": [SECRET]}), POLICY, "KEY"),
    "what the template sets": (launch("train", "$(A)", env=(("A", "1"),)), template(named("A", "2")), "A"),
    "a variable that refers to it": (
        launch("train", "x", env=(("A", "1"), ("B", "$(A)"))),
        template(named("A", "2")),
        "A",
    ),
    "the template, to the task's": (launch("train", env=(("A", "1"),)), template(named("B", "$(A)")), "A"),
    "the template, to the Pod's": (PLAIN, template(named("B", "$(KFP_POD_NAME)")), "KFP_POD_NAME"),
    "the template, in another order": (
        launch("train", env=(("A", "1"),)),
        template(named("B", "2"), named("A", "$(B)")),
        "B",
    ),
}


@pytest.mark.parametrize(("task", "policy", "name"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_value_that_only_the_kubelet_has_needs_a_pod_of_its_own(
    task: TaskLaunch, policy: NamespacePolicy, name: str
) -> None:
    assert reason(task, policy) == f"a text refers to the variable {name}, whose value only a Pod of its own has"


KNOWN: Mapping[str, tuple[TaskLaunch, NamespacePolicy]] = {
    "a Secret that nothing refers to": (launch("train", "$(A)", kubernetes={"env": [SECRET]}), POLICY),
    "a variable before it": (
        launch("train", env=(("A", "$(KEY)"),), kubernetes={"env": [SECRET]}),
        POLICY,
    ),
    "the template, to itself": (PLAIN, template(named("A", "1"), named("B", "$(A)"))),
    "one that the template replaces": (
        launch("train", env=(("A", "1"), ("B", "$(A)"))),
        template(named("B", "2")),
    ),
}


@pytest.mark.parametrize(("task", "policy"), KNOWN.values(), ids=KNOWN)
def test_other_variables_of_the_pod_keep_nobody_from_a_worker(task: TaskLaunch, policy: NamespacePolicy) -> None:
    assert reason(task, policy) == ""
    assert told(task, policy) == alone(task, policy)


def test_a_users_own_variable_for_the_pod_wins() -> None:
    mine = {"name": "KFP_POD_UID", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}
    task = launch("train", env=(("KFP_POD_NAME", "mine"),), kubernetes={"env": [mine]})
    assert told(task) == alone(task)
    assert told(task).variables["KFP_POD_UID"] == "own/k"


DOUBLED = (("A", "x" * 1000), *((chr(ord("A") + n), f"$({chr(ord('A') + n - 1)})" * 2) for n in range(1, 26)))
LARGE = ("A", "x" * 100_000)
TOO_LONG: Mapping[str, TaskLaunch] = {
    "variables that double each other": launch("train", env=DOUBLED),
    "a word": launch("train", "$(A)$(A)", env=(LARGE,)),
    "a variable with its name": launch("train", env=(("A", "x" * 65_534), ("BCD", "$(A)$(A)"))),
    "many words": launch("train", args=("$(A)",) * 100, env=(LARGE,)),
    "very many words": launch("train", args=("$(A)",) * 100_000, env=(LARGE,)),
    "bytes": launch("train", "$(A)$(A)", env=(("A", "\N{OLD ITALIC LETTER A}" * 20_000),)),
}


@pytest.mark.parametrize("task", TOO_LONG.values(), ids=TOO_LONG)
def test_what_references_make_too_long_is_noticed_before_it_is_made(task: TaskLaunch) -> None:
    tracemalloc.start()
    told = instructions(task, SETTINGS, POLICY, TaskStore(StoreConfig(), task))
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    assert is_too_long(told)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 40_000_000


def test_what_just_fits_does() -> None:
    task = launch("train", "$(A)$(A)", env=(("A", "x" * 65_534), ("B", "$(A)$(A)")))
    assert not is_too_long(instructions(task, SETTINGS, POLICY, TaskStore(StoreConfig(), task)))
    assert told(task) == alone(task)
