"""Whether a task may share a Pod with others, and if not, why: its user reads that.

Invariants: pure. A task that cannot have a worker gets a Pod of its own, by itself, and never fails for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.main_container import NAME
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.view import LABEL_QUEUE, entries, mapping
from penstock_executor.backends.kubernetes.volumes import HOMES
from penstock_executor.backends.kubernetes.workers.references import unknown_reference
from penstock_executor.backends.kubernetes.workers.worker_pod import TEMPORARY
from penstock_executor.backends.kubernetes.wrapper_choice import architecture_of
from penstock_executor.backends.transfers import OCI
from penstock_executor.pod_paths import SCRATCH

_CLEARED = tuple(f"{path}/" for path in (*TEMPORARY, SCRATCH, *HOMES, "/dev/shm"))  # noqa: S108 - the container's
_SHARED_BY_TEMPLATE = ("shareProcessNamespace", "hostPID", "hostIPC", "schedulingGates", "activeDeadlineSeconds")


def why_not(task: TaskLaunch, settings: PodSettings, policy: NamespacePolicy, store: TaskStore) -> str:
    """Why the task needs a Pod of its own, empty when it does not. Raises TaskSpecError, ArtifactStoreError."""
    platform: Mapping[str, Any] = task.kubernetes
    template = mapping(policy.pod_template, "spec")
    given = next((field for field in _SHARED_BY_TEMPLATE if template.get(field)), "")
    volumes = [*(platform.get("ownVolumes") or ()), *(template.get("volumes") or ())]
    if task.gang is not None:
        return "it starts together with others (penstock.dev/gang), and workers may be busy"
    if not task.command:
        return "the task names no command"
    if policy.security != "restricted":
        return f"the namespace says security: {policy.security}, and a worker needs restricted"
    if given:
        return f"the namespace's podTemplate says {given}"
    if template.get("initContainers") or platform.get("initContainers"):
        return "it has init containers, which run once for a Pod"
    if any("ephemeral" in volume for volume in volumes):
        return "it has a volume of its own, which lives as long as a Pod"
    below = next((path for path in _mounted(platform, template) if path.startswith(_CLEARED)), "")
    if below:
        return f"a volume is mounted at {below}, in a directory that is emptied between tasks"
    if LABEL_QUEUE in mapping(platform, "labels") or LABEL_QUEUE in mapping(
        mapping(policy.pod_template, "metadata"), "labels"
    ):
        return "it is in a queue of Kueue, which counts Pods"
    if not architecture_of(platform, settings):
        return "its node may have either architecture; a node selector for kubernetes.io/arch names one"
    if any(one.uri.startswith(OCI) for many in task.input_artifacts.values() for one in many):
        return "an input is a model that is an image"
    # Also one that moves nothing: a worker's agent stores its log.
    if store.session_secret():
        return "its object store is reached with a role that is taken for each attempt"
    name = unknown_reference(task, settings, policy)
    if name:
        return f"a text refers to the variable {name[:40]}, whose value only a Pod of its own has"
    return ""


def _mounted(platform: Mapping[str, Any], template: Mapping[str, Any]) -> list[str]:
    """Where the pipeline and the namespace's template mount volumes in `main`."""
    given = [*(platform.get("volumeMounts") or ()), *(platform.get("ownVolumeMounts") or ())]
    of_template = (
        one
        for main in entries(template, "containers")
        if main.get("name") == NAME
        for one in entries(main, "volumeMounts")
    )
    return [str(one.get("mountPath")) for one in (*given, *of_template)]
