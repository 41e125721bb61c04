"""The Pod of a warm worker, and the shape of the tasks that it can take (docs/workers.md).

Why made from a task: what a task may ask for is checked, and becomes a Pod, as for a Pod of its own; what is left out
is only what belongs to one attempt.

Invariants: pure. Two tasks have the same shape if and only if the same Pod is made for both. Nothing of an attempt is
in it: no arguments, no literal variables, no names. All that an attempt can write to is cleared between two attempts or
is a claim that the pipeline asks for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_executor.agent.protocol import SHARE, WRAPPER_DIR
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.agent_container import PodStore, agent_container, agent_volumes
from penstock_executor.backends.kubernetes.allowed import check_task
from penstock_executor.backends.kubernetes.environment import (
    POD_NAME,
    POD_UID,
    attempt_variables,
    last_of_each,
    literal,
    names,
)
from penstock_executor.backends.kubernetes.lightweight import (
    PACKAGE_VARIABLES,
    PACKAGES,
    WORKER,
    Lightweight,
    lightweight_of,
)
from penstock_executor.backends.kubernetes.main_container import NAME, mounts_of_template
from penstock_executor.backends.kubernetes.merge import with_template
from penstock_executor.backends.kubernetes.own_names import TOKEN_ANNOTATION
from penstock_executor.backends.kubernetes.pod_spec import identity_for_agent, scheduling
from penstock_executor.backends.kubernetes.security import pod_security, task_security
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.transfers import agent_transfers
from penstock_executor.backends.kubernetes.variable_expansion import escaped, refers_to
from penstock_executor.backends.kubernetes.view import LABEL_INSTANCE, LABEL_RUN, LABEL_WORKER
from penstock_executor.backends.kubernetes.volumes import (
    CERTIFICATES,
    certificates_mount,
    certificates_volume,
    file_mounts,
    home_mounts,
    lies_at_home,
    one_volume_per_claim,
    scratch_mount,
    scratch_volumes,
    with_users_mounts,
    wrapper_mount,
    wrapper_volume,
)
from penstock_executor.backends.kubernetes.workers.references import in_pod, of_template
from penstock_executor.backends.kubernetes.wrapper_choice import architecture_of
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import Transfers
from penstock_executor.engine.task_config import kubernetes_resources

Json = dict[str, Any]

PREFIX = "penstock-worker-"
_FOR_PIP = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT", "REQUESTS_CA")
"""Beginnings of the variables by which a task says where packages are."""
_NAMED = re.compile(r"\$\{?([A-Za-z_]\w*)", re.ASCII)
"""Variables that a shell's text names."""
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the container's
_ALWAYS_CLEARED = ("/dev/shm", "/dev/mqueue")  # noqa: S108 - the container's


def worker_pod(
    task: TaskLaunch,
    settings: PodSettings,
    policy: NamespacePolicy,
    store: PodStore,
    run_claims: frozenset[str],
    isolation: str,
) -> Json:
    """A Pod without a name. `isolation` is `run` or `namespace`; `run_claims` as for `pod_spec.make_pod`.

    Raises PodSpecError, TaskSpecError.
    """
    check_task(task, policy, settings.own_names, run_claims)
    platform: Any = task.kubernetes
    paths = TaskPaths(task)
    moved = agent_transfers(task, paths, settings)
    architecture = architecture_of(platform, settings)
    variables = attempt_variables(task, settings)
    light = lightweight_in_worker(paths.command(), variables)
    main = _main(task, paths, moved, settings, policy, architecture, light)
    packages = [_packages(main, light, variables, policy)] if light is not None and light.install else []
    agent = agent_container(task, paths, moved, settings, policy, store, instructed=False)
    agent["command"] = [*agent["command"], "work"]
    annotations = {"sidecar.istio.io/inject": "false", **(platform.get("annotations") or {})}
    labels = {
        **(platform.get("labels") or {}),
        "app.kubernetes.io/managed-by": "penstock",
        LABEL_INSTANCE: settings.instance,
        **({LABEL_RUN: task.key.run_id} if isolation == "run" else {}),
        "pipelines.kubeflow.org/v2_component": "true",
    }
    pod = with_template(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "",
                "namespace": task.namespace or settings.default_namespace,
                "labels": labels,
                "annotations": {**annotations, **identity_for_agent([main, agent, *packages])},
            },
            "spec": {
                "restartPolicy": "Never",
                "enableServiceLinks": False,
                "automountServiceAccountToken": annotations.get(TOKEN_ANNOTATION) == "true",
                "terminationGracePeriodSeconds": settings.termination_grace_seconds,
                "securityContext": pod_security(settings, policy, shared=False),
                **({"initContainers": packages} if packages else {}),
                "containers": [main, agent],
                "volumes": [
                    *scratch_volumes([main, agent, *packages]),
                    wrapper_volume(settings, architecture, worker=True),
                    *certificates_volume(settings),
                    *(platform.get("volumes") or ()),
                    *(platform.get("ownVolumes") or ()),
                    *agent_volumes(task, moved, settings),
                ],
                **scheduling(task, policy),
            },
        },
        policy.pod_template,
    )
    # A deadline is an attempt's.
    pod["spec"].pop("activeDeadlineSeconds", None)
    one_volume_per_claim(pod["spec"])
    (first,) = (one for one in pod["spec"]["containers"] if one["name"] == NAME)
    first["command"] = [*first["command"], *(word for path in _cleared(pod, first) for word in ("--clear", path))]
    return pod


def lightweight_in_worker(argv: Sequence[str], variables: Sequence[Json]) -> Lightweight | None:
    """Of a task's command and `attempt_variables`. None also where what is done once for many attempts refers to a
    variable: such a command runs as it is."""
    light = lightweight_of(argv)
    if light is None:
        return None
    ours = in_pod("", "", variables)
    told = for_install(light, ours)
    generated = argv[: -len(light.args) - 1]
    texts = (*generated, *(one["value"] for one in told if "value" in one))
    known = names(ours)
    if any(refers_to(text, known) for text in texts) or any(one["name"] in (POD_NAME, POD_UID) for one in told):
        return None
    return light


def for_install(light: Lightweight, variables: Sequence[Json]) -> list[Json]:
    """The variables that say where packages are, or that the installation names."""
    if not light.install:
        return []
    named = {*_NAMED.findall(light.install[2])}
    return [one for one in variables if one["name"] in named or one["name"].upper().startswith(_FOR_PIP)]


def shape_of(pod: Mapping[str, Any]) -> str:
    """The same for Pods that are the same but for their names."""
    text = json.dumps(pod, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def named(pod: Mapping[str, Any], shape: str, suffix: str) -> Json:
    """The Pod of one worker."""
    metadata = pod["metadata"]
    labels = {**metadata["labels"], LABEL_WORKER: shape}
    return {**pod, "metadata": {**metadata, "name": f"{PREFIX}{shape[:10]}-{suffix}", "labels": labels}}


def _main(
    task: TaskLaunch,
    paths: TaskPaths,
    moved: Transfers,
    settings: PodSettings,
    policy: NamespacePolicy,
    architecture: str,
    light: Lightweight | None,
) -> Json:
    platform: Any = task.kubernetes
    users = [*(platform.get("volumeMounts") or ()), *(platform.get("ownVolumeMounts") or ())]
    given = [*users, *mounts_of_template(policy)]
    taken = {str(mount.get("mountPath")) for mount in given}
    ours = [
        *file_mounts([paths.root, *moved.paths()], share=True),
        *(home_mounts() if lies_at_home(given) else ()),
        *(_temporary_mount(path) for path in TEMPORARY if path not in taken),
        wrapper_mount(architecture),
        *certificates_mount(settings),
        *([{**scratch_mount(PACKAGES), "readOnly": True}] if light is not None and light.install else ()),
    ]
    first = light.first_process() if light is not None else [f"{WRAPPER_DIR}/{WORKER}"]
    variables = _from_elsewhere(task, settings)
    if light is not None and light.install:
        variables += [{"name": name, "value": value} for name, value in PACKAGE_VARIABLES.items()]
    container: Json = {
        "name": NAME,
        "image": task.image,
        "command": [*first, "--share", SHARE, "--run", f"{WRAPPER_DIR}/run"],
        "env": variables,
        "volumeMounts": with_users_mounts(ours, users, paths.root, workspace="workspace" in platform),
        "securityContext": {
            **task_security(platform.get("securityContext") or {}, policy),
            "readOnlyRootFilesystem": True,
        },
    }
    resources = kubernetes_resources(task.resources)
    if resources:
        container["resources"] = resources
    if platform.get("imagePullPolicy"):
        container["imagePullPolicy"] = platform["imagePullPolicy"]
    return container


def _packages(main: Json, light: Lightweight, variables: Sequence[Json], policy: NamespacePolicy) -> Json:
    """Installs once what a lightweight component needs, into a directory that its attempts can only read."""
    of_namespace = of_template(policy)
    replaced = {one.get("name") for one in of_namespace}
    told = [one for one in for_install(light, last_of_each(variables)) if "value" in one]
    given = [one for one in (*main["env"], *told) if one["name"] not in replaced]
    own = {**PACKAGE_VARIABLES, "PIP_USER": "1", "PIP_NO_CACHE_DIR": "1", "HOME": "/tmp"}  # noqa: S108 - the container's
    taken = {mount["mountPath"] for mount in main["volumeMounts"]}
    kept = ("image", "imagePullPolicy", "resources", "securityContext")
    return {
        **{key: main[key] for key in kept if key in main},
        "name": "penstock-packages",
        "command": [escaped(word, ()) for word in light.install],
        "env": [
            *literal(given),
            *(dict(one) for one in of_namespace if one.get("name") not in own),
            *({"name": name, "value": value} for name, value in own.items()),
        ],
        "volumeMounts": [
            scratch_mount(PACKAGES),
            *(one for one in main["volumeMounts"] if one["mountPath"] in taken & {*TEMPORARY, CERTIFICATES}),
        ],
    }


def _cleared(pod: Mapping[str, Any], main: Mapping[str, Any]) -> list[str]:
    """Where an attempt may leave files that the next would find, whoever asked for the volume; the share is cleared
    anyway."""
    emptied = {volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
    mounted = {one["mountPath"] for one in main["volumeMounts"] if one["name"] in emptied and not one.get("readOnly")}
    return sorted((mounted | set(_ALWAYS_CLEARED)) - {SHARE})


def _temporary_mount(path: str) -> Json:
    return {**scratch_mount(path), "name": f"penstock-at{path.replace('/', '-')}"}


def _from_elsewhere(task: TaskLaunch, settings: PodSettings) -> list[Json]:
    """The variables whose values only the kubelet has; an attempt brings all others."""
    return [one for one in last_of_each(attempt_variables(task, settings)) if "value" not in one]
