"""Whether this executor may do in a namespace what every task there takes (deploy/kustomize/tasks/access.yaml).

Why it exists: without `watch pods` or `get pods/log` tasks would only wait, and the reason stand in a log; so the
question is asked before the first Pod, and its answer is the task's error. Rights that only some pipelines need
(claims, Secrets) are not asked for: whoever lacks them is told when they are used.

Invariants: one call for a namespace where nothing is missing; what seems to be missing is asked again by itself, since
a list of rights may be incomplete; an API server that knows no such question hinders nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.errors import ForbiddenError, NotFoundError

NEEDED = (
    ("pods", ("create", "delete", "get", "list", "watch")),
    ("pods/log", ("get",)),
    ("configmaps", ("create", "get")),
)
_REVIEWS = "/apis/authorization.k8s.io/v1"


async def check_rights(client: KubeClient, namespace: str) -> None:
    """Raises ForbiddenError that names verbs and resources, KubeError when it cannot be asked."""
    try:
        review = await client.create(f"{_REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": namespace}})
        missing = [one for one in _not_in(review["status"]) if not await may(client, namespace, *one)]
    except NotFoundError:
        return
    if missing:
        rights = ", ".join(f"{verb} {resource}" for verb, resource in missing)
        raise ForbiddenError(403, "Forbidden", f"the executor's Role lacks in namespace {namespace!r}: {rights}")


def _not_in(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rules = [
        rule
        for rule in status.get("resourceRules") or ()
        if not rule.get("resourceNames") and {"", "*"} & set(rule.get("apiGroups") or ())
    ]
    for resource, verbs in NEEDED:
        held = {verb for rule in rules if {resource, "*"} & set(rule.get("resources") or ()) for verb in rule["verbs"]}
        if "*" not in held:
            yield from ((verb, resource) for verb in verbs if verb not in held)


async def may(client: KubeClient, namespace: str, verb: str, resource: str) -> bool:
    """Whether we may do that. Raises KubeError when it cannot be asked."""
    name, _, subresource = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "resource": name, "subresource": subresource}
    review = await client.create(f"{_REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": asked}})
    return bool(review["status"]["allowed"])
