"""The Pod and the shape of a task's worker, made once for all tasks that have the same.

Why: the hundreds of attempts of a loop have one shape, and to make its Pod anew costs more than all else that is done
for one of them before it runs.

Invariants: what is found is what `worker_pod` would make; whether the task may have it is checked for each. Settings
and policies are known by their identity: one that was read anew is another one. No more is kept than `_MOST_CHARACTERS`
of Pods. Nobody changes a Pod that was handed out.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, NamedTuple

from cachetools import LRUCache

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.agent_container import PodStore
from penstock_executor.backends.kubernetes.allowed import check_task
from penstock_executor.backends.kubernetes.environment import attempt_variables
from penstock_executor.backends.kubernetes.lightweight import Lightweight
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.transfers import agent_transfers
from penstock_executor.backends.kubernetes.volumes import mounted_for
from penstock_executor.backends.kubernetes.workers.worker_pod import (
    for_install,
    shape_of,
    worker_pod,
)
from penstock_executor.backends.task_paths import TaskPaths

Json = dict[str, Any]

_MOST_CHARACTERS = 16 * 1024 * 1024


class Shaped(NamedTuple):
    """`pod` has no name."""

    pod: Json
    shape: str


class _Known(NamedTuple):
    """`settings` and `policy` are kept so that no other ones come to lie where they did."""

    shaped: Shaped
    settings: PodSettings
    policy: NamespacePolicy
    size: int


_known: LRUCache[Hashable, _Known] = LRUCache(_MOST_CHARACTERS, getsizeof=lambda known: known.size)


def shaped(
    task: TaskLaunch,
    light: Lightweight | None,
    settings: PodSettings,
    policy: NamespacePolicy,
    store: PodStore,
    run_claims: frozenset[str],
    isolation: str,
) -> Shaped:
    """As `worker_pod`, and raises as it does; `light` is what `instructions` found the task to be."""
    check_task(task, policy, settings.own_names, run_claims)
    key = _made_of(task, light, settings, policy, store, isolation)
    known = _known.get(key)
    if known is None:
        pod = worker_pod(task, settings, policy, store, run_claims, isolation)
        known = _Known(Shaped(pod, shape_of(pod)), settings, policy, len(json.dumps(pod)))
        # One that is larger than all that is kept is not.
        with suppress(ValueError):
            _known[key] = known
    return known.shaped


def _made_of(
    task: TaskLaunch,
    light: Lightweight | None,
    settings: PodSettings,
    policy: NamespacePolicy,
    store: PodStore,
    isolation: str,
) -> Hashable:
    """All that a worker's Pod is made of. Raises TaskSpecError, ArtifactStoreError."""
    paths = TaskPaths(task)
    moved = agent_transfers(task, paths, settings)
    return (
        id(settings),
        id(policy),
        task.key.run_id if isolation == "run" else "",
        task.namespace,
        task.image,
        task.service_account,
        mounted_for((paths.root,)),
        # The workspace and models have places that nothing else has.
        mounted_for(moved.paths()),
        moved.uses_files,
        None if light is None else (light.install, light.module, light.variables),
        store.session_secret(),
        bool(settings.agent_env_from_secret) and store.only_sessions(),
        json.dumps(
            (
                task.kubernetes,
                task.resources,
                store.credentials_env(),
                () if light is None else for_install(light, attempt_variables(task, settings)),
            )
        ),
    )
