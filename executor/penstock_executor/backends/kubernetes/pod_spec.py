"""The Pod of one attempt (docs/pods.md).

Invariants: a pure function of the task, the settings and the policy, so that whoever makes the Pod again makes the same
one. What cannot become a Pod is a PodSpecError that says what to change, before anything is asked of a cluster.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.kubernetes.agent_container import (
    AGENT_CONTAINERS,
    PodStore,
    agent_beside_entrypoint,
    agent_container,
    agent_volumes,
    session_volume,
)
from penstock_executor.backends.kubernetes.allowed import check_task
from penstock_executor.backends.kubernetes.environment import literal, names
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.main_container import main_container
from penstock_executor.backends.kubernetes.merge import with_template
from penstock_executor.backends.kubernetes.model_cars import model_containers
from penstock_executor.backends.kubernetes.own_names import TOKEN_ANNOTATION
from penstock_executor.backends.kubernetes.security import hardened, name_groups, pod_security, shares_processes
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.transfers import agent_transfers, has_agent
from penstock_executor.backends.kubernetes.variable_expansion import escaped
from penstock_executor.backends.kubernetes.view import (
    ANNOTATION_ATTEMPT,
    ANNOTATION_LOG,
    ANNOTATION_PATH,
    ANNOTATION_TTL_FAILED,
    ANNOTATION_TTL_SUCCEEDED,
    LABEL_INSTANCE,
    LABEL_RUN,
)
from penstock_executor.backends.kubernetes.volumes import (
    certificates_volume,
    one_volume_per_claim,
    scratch_volumes,
    wrapper_volume,
)
from penstock_executor.backends.kubernetes.wrapper_choice import architecture_of, wrapper_chooser
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.engine.names import log_uri

__all__ = ["PodSpecError", "make_pod"]

Json = dict[str, Any]

MAX_POD_BYTES = 1_000_000


def make_pod(
    task: TaskLaunch,
    settings: PodSettings,
    policy: NamespacePolicy,
    store: PodStore,
    run_claims: frozenset[str] = frozenset(),
) -> Json:
    """`run_claims`: claims that the task's own run made, which no list has to allow. Raises PodSpecError."""
    check_task(task, policy, settings.own_names, run_claims)
    platform: Any = task.kubernetes
    paths = TaskPaths(task)
    moved = agent_transfers(task, paths, settings)
    wrapped = bool(task.command)
    with_agent = has_agent(task, moved)
    architecture = architecture_of(platform, settings)
    containers = [main_container(task, paths, moved, settings, policy, agent=with_agent, architecture=architecture)]
    first: list[Json] = [wrapper_chooser(settings)] if wrapped and not architecture else []
    if with_agent:
        agent = agent_container(task, paths, moved, settings, policy, store)
        if wrapped:
            containers.append(agent)
        else:
            first += agent_beside_entrypoint(agent, moved)
    first += model_containers(moved.models, platform.get("securityContext") or {}, policy)
    first += [_of_pipeline(container) for container in platform.get("initContainers") or ()]
    shared = shares_processes(moved.models, policy)
    if shared:
        name_groups([*containers, *first], settings)
    annotations = _annotations(task, platform.get("annotations") or {}, [*containers, *first])
    spec: Json = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": annotations.get(TOKEN_ANNOTATION) == "true",
        "terminationGracePeriodSeconds": _grace(settings, uploads_at_end=with_agent and not wrapped),
        "securityContext": pod_security(settings, policy, shared=shared),
        "containers": containers,
        "volumes": [
            *scratch_volumes([*containers, *first]),
            *([wrapper_volume(settings, architecture)] if wrapped else []),
            *certificates_volume(settings),
            *(platform.get("volumes") or ()),
            *(platform.get("ownVolumes") or ()),
            *agent_volumes(task, moved, settings),
            *(session_volume(store) if with_agent else ()),
        ],
        **scheduling(task, policy),
    }
    if first:
        spec["initContainers"] = first
    if moved.models:
        spec["shareProcessNamespace"] = True
    pod = with_template(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": task.pod_name,
                "namespace": task.namespace or settings.default_namespace,
                "labels": {**(platform.get("labels") or {}), **_labels(task, settings)},
                "annotations": annotations,
            },
            "spec": spec,
        },
        policy.pod_template,
    )
    one_volume_per_claim(pod["spec"])
    _check_size(pod)
    return pod


def _grace(settings: PodSettings, *, uploads_at_end: bool) -> int:
    """Seconds between the first and the last signal; a sidecar uploads in them, and who ends a Pod says how long."""
    seconds = settings.termination_grace_seconds
    return max(seconds, math.ceil(settings.transfer_timeout_seconds)) if uploads_at_end else seconds


def scheduling(task: TaskLaunch, policy: NamespacePolicy) -> Json:
    """Where, as whom and how long."""
    platform: Any = task.kubernetes
    fields: Json = {key: platform[key] for key in ("nodeSelector", "tolerations", "affinity") if platform.get(key)}
    account = task.service_account or policy.service_account
    if account:
        fields["serviceAccountName"] = account
    secrets = dict.fromkeys((*policy.image_pull_secrets, *(platform.get("imagePullSecrets") or ())))
    if secrets:
        fields["imagePullSecrets"] = [{"name": name} for name in secrets]
    if task.deadline_seconds > 0:
        fields["activeDeadlineSeconds"] = math.ceil(task.deadline_seconds)
    return fields


def _of_pipeline(container: Json) -> Json:
    """An init container or sidecar that the pipeline asks for. Raises PodSpecError."""
    env = literal(container.get("env") or ())
    checked = {**container, "securityContext": hardened()}
    for key in ("command", "args"):
        if key in container:
            texts = checked_arguments(container[key], f"{key} of init container {container['name']}")
            checked[key] = [escaped(text, names(env)) for text in texts]
    return {**checked, "env": env} if env else checked


def _labels(task: TaskLaunch, settings: PodSettings) -> Json:
    return {
        "app.kubernetes.io/managed-by": "penstock",
        LABEL_INSTANCE: settings.instance,
        LABEL_RUN: task.key.run_id,
        "pipelines.kubeflow.org/v2_component": "true",
    }


def _annotations(task: TaskLaunch, given: Mapping[str, str], containers: Sequence[Json]) -> dict[str, str]:
    return {
        "sidecar.istio.io/inject": "false",
        **given,
        "pipelines.kubeflow.org/run_name": task.run_display_name,
        ANNOTATION_PATH: task.key.path,
        ANNOTATION_ATTEMPT: str(task.key.attempt),
        ANNOTATION_LOG: log_uri(task.task_root),
        **({} if task.ttl_succeeded is None else {ANNOTATION_TTL_SUCCEEDED: f"{task.ttl_succeeded:.0f}"}),
        **({} if task.ttl_failed is None else {ANNOTATION_TTL_FAILED: f"{task.ttl_failed:.0f}"}),
        **identity_for_agent(containers),
    }


def identity_for_agent(containers: Sequence[Json]) -> dict[str, str]:
    """The annotation that keeps the service account's identity in a cloud from all containers but the agent's."""
    others = [one["name"] for one in containers if one["name"] not in AGENT_CONTAINERS]
    return {"eks.amazonaws.com/skip-containers": ",".join(others)}


def _check_size(pod: Json) -> None:
    """Raises PodSpecError for a Pod that a cluster does not store."""
    size = len(json.dumps(pod, ensure_ascii=False).encode())
    if size <= MAX_POD_BYTES:
        return
    main = pod["spec"]["containers"][0]
    texts = {f"argument {index}": text for index, text in enumerate(main.get("command") or main.get("args") or ())}
    texts.update({f"variable {entry['name']}": entry.get("value", "") for entry in main["env"]})
    largest = max(texts, key=lambda name: len(texts[name]))
    raise PodSpecError(
        f"the task's Pod would have {size} bytes, and a cluster stores {MAX_POD_BYTES}; the largest part is {largest} "
        f"with {len(texts[largest].encode())} bytes: hand large values over as artifacts instead of parameters"
    )
