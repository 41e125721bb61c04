"""Which of the wrapper's binaries a task's container runs (docs/pods.md).

Invariant: a Pod that may land on either architecture chooses on the node, in a stage of its own; any other has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_executor.backends.kubernetes.security import agent_security
from penstock_executor.backends.kubernetes.settings import PodSettings
from penstock_executor.backends.kubernetes.variable_expansion import escaped
from penstock_executor.backends.kubernetes.volumes import WRAPPER_VOLUME, wrapper_target

Json = dict[str, Any]

ARCHITECTURES = ("amd64", "arm64")
_LABEL = "kubernetes.io/arch"
_BINARIES = "/penstock/binaries"
_CHOOSE = f"""case "$(uname -m)" in
x86_64) name=amd64 ;;
aarch64 | arm64) name=arm64 ;;
*) echo "there is no wrapper for $(uname -m)" >&2; exit 1 ;;
esac
cp {_BINARIES}/run-$name /penstock/bin/run && chmod 755 /penstock/bin/run"""


def architecture_of(platform: Mapping[str, Any], settings: PodSettings) -> str:
    """`amd64` or `arm64`; empty when only the node will tell."""
    if settings.architecture != "mixed":
        return settings.architecture
    named = (platform.get("nodeSelector") or {}).get(_LABEL)
    if named is None:
        named = _required(platform.get("affinity") or {})
    return named if named in ARCHITECTURES else ""


def wrapper_chooser(settings: PodSettings) -> Json:
    """The init container that puts the node's binary where the wrapper is looked for."""
    return {
        "name": "penstock-wrapper",
        "image": settings.agent_image,
        "imagePullPolicy": settings.agent_image_pull_policy,
        "command": ["sh", "-c", escaped(_CHOOSE, ())],
        "volumeMounts": [{"name": WRAPPER_VOLUME, "mountPath": _BINARIES, "readOnly": True}, wrapper_target()],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": agent_security(settings, shared=False),
    }


def _required(affinity: Mapping[str, Any]) -> str | None:
    """The one architecture that every alternative of the required node affinity asks for."""
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    found: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        named = [
            one["values"][0]
            for one in term.get("matchExpressions") or ()
            if one.get("key") == _LABEL and one.get("operator") == "In" and len(one.get("values") or ()) == 1
        ]
        if not named:
            return None
        found.add(named[0])
    return found.pop() if len(found) == 1 else None
