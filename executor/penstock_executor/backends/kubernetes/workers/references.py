"""References `$(NAME)` in what a worker is told of an attempt: the kubelet expands none of it, so the executor does.

Invariants: pure. A program gets what it would get in a Pod of its own, since the same escaped texts are expanded. What
refers to a value that the executor does not have is the kubelet's to expand: its task has a Pod of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import MAX_ARGUMENT_BYTES
from penstock_executor.backends.kubernetes.environment import (
    POD_NAME,
    POD_UID,
    attempt_variables,
    last_of_each,
    literal,
    names,
)
from penstock_executor.backends.kubernetes.lightweight import PACKAGE_VARIABLES
from penstock_executor.backends.kubernetes.main_container import NAME
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.variable_expansion import TooLongError, escaped, expanded, refers_to
from penstock_executor.backends.kubernetes.view import entries, mapping
from penstock_executor.backends.task_paths import TaskPaths

Json = dict[str, Any]


def of_template(policy: NamespacePolicy) -> list[Mapping[str, Any]]:
    """The variables of `main` that the namespace's template sets, which win over what a task says."""
    containers = entries(mapping(policy.pod_template, "spec"), "containers")
    return [one for main in containers if main.get("name") == NAME for one in entries(main, "env")]


def in_pod(name: str, uid: str, variables: Sequence[Json]) -> list[Json]:
    """The variables of an attempt in a Pod that is known, in their order, without those that later ones replace."""
    return last_of_each([{"name": POD_NAME, "value": name}, {"name": POD_UID, "value": uid}, *variables])


def unknown_reference(task: TaskLaunch, settings: PodSettings, policy: NamespacePolicy) -> str:
    """The variable to which a text refers though only the kubelet of a Pod of the task's own has the right value for
    it; empty when there is none. Raises TaskSpecError."""
    ours = in_pod("", "", attempt_variables(task, settings))
    given = of_template(policy)
    theirs = {str(one.get("name")) for one in given}
    unknown = [one["name"] for one in ours if "value" not in one or one["name"] in theirs]
    return _of_template_to_task(given, names(ours)) or (_of_task(task, ours, unknown) if unknown else "")


def _of_template_to_task(given: Iterable[Mapping[str, Any]], ours: Sequence[str]) -> str:
    """A worker's Pod has none of the task's literal variables, and what replaces one of them has another place there,
    so that it sees others of the template."""
    theirs = [str(one.get("name")) for one in given]
    for one in given:
        others = theirs if one.get("name") in ours else ()
        found = refers_to(str(one.get("value") or ""), (*ours, *PACKAGE_VARIABLES, *others))
        if found:
            return found
    return ""


def _of_task(task: TaskLaunch, ours: Iterable[Json], unknown: Sequence[str]) -> str:
    paths = TaskPaths(task)
    for word in (paths.root, *paths.command()):
        found = refers_to(word, unknown)
        if found:
            return found
    before: list[str] = []
    for one in ours:
        if one["name"] in unknown:
            before.append(one["name"])
            continue
        found = refers_to(one["value"], before)
        if found:
            return found
    return ""


def refer(texts: Iterable[str], variables: Iterable[Json]) -> bool:
    """Whether one of the texts refers to one of the variables."""
    known = names(variables)
    return any(refers_to(text, known) for text in texts)


def with_values(words: Sequence[str], variables: Sequence[Json], most: int | None) -> tuple[list[str], dict[str, str]]:
    """Words and literal variables as a container with these `variables` gives them to its program; None: they were
    measured before. Raises TooLongError when all have more than `most` bytes, or one is longer than a program takes."""
    escaped_variables = literal(variables)
    known, values = names(escaped_variables), dict[str, str]()
    left = sys.maxsize if most is None else most
    longest = sys.maxsize if most is None else MAX_ARGUMENT_BYTES

    def value_of(text: str, before: str = "") -> str:
        nonlocal left
        value = expanded(text, values, min(left, longest))
        size = len(f"{before}{value}".encode("utf-8", "surrogatepass"))
        left -= size
        if left < 0 or size > longest:
            raise TooLongError
        return value

    for one in escaped_variables:
        if "value" in one:
            values[one["name"]] = value_of(one["value"], f"{one['name']}=")
    return [value_of(escaped(word, known)) for word in words], values
