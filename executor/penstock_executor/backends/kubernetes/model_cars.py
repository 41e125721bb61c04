"""Models that are images (`oci://` inputs, executor.md §2.8): each image runs as a sidecar that shows its `/models`.

Why: another container's files are reached through one of its processes (`/proc/<pid>/root`), so gigabytes are neither
copied nor kept twice on a node. The Pod's containers share a process namespace and one user for that.

Invariants: a model without files fails the Pod before the task starts; the sidecars end with the task.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_ir.artifact import Artifact

from penstock_executor.backends.kubernetes.security import task_security
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_executor.backends.kubernetes.variable_expansion import escaped
from penstock_executor.backends.kubernetes.volumes import scratch_mount
from penstock_executor.backends.transfers import OCI
from penstock_executor.pod_paths import local_form

Json = dict[str, Any]

MODELS = "/oci"
_RESOURCES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
_CHECK = 'test -n "$(ls -A /models)" || { echo "the image has no files in /models" >&2; exit 1; }'
_SHOW = """trap 'exit 0' TERM INT
mkdir -p "$1" && ln -sfn "/proc/$$/root/models" "$1/models" || exit 1
while :; do sleep 3600 & wait $!; done"""


def model_containers(models: Sequence[Artifact], wanted: Mapping[str, Any], policy: NamespacePolicy) -> list[Json]:
    """Init containers of a Pod; `wanted` is the security context that the pipeline asks for. Raises PodSpecError."""
    security = task_security(wanted, policy)
    found: list[Json] = []
    for index, model in enumerate(models):
        image = model.uri.removeprefix(OCI)
        path = local_form(model.uri) or ""
        common: Json = {
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "resources": _RESOURCES,
            "securityContext": security,
        }
        found.append({"name": f"oci-prepull-{index}", "command": _shell(_CHECK), **common})
        found.append(
            {
                "name": f"oci-{index}",
                "command": _shell(_SHOW, path.rsplit("/", 1)[0]),
                "restartPolicy": "Always",
                # The task starts when its model is there.
                "startupProbe": {
                    "exec": {"command": ["sh", "-c", f"test -e {shlex.quote(path)}"]},
                    "periodSeconds": 1,
                    "failureThreshold": 60,
                },
                "volumeMounts": [scratch_mount(MODELS)],
                **common,
            }
        )
    return found


def _shell(script: str, *arguments: str) -> list[str]:
    return [escaped(text, ()) for text in ("sh", "-c", script, "sh", *arguments)]
