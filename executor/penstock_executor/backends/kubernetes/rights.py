"""Checks whether this executor has the rights that every task needs (deploy/kustomize/tasks/access.yaml).

Why: without `watch pods` or `get pods/log` tasks would wait for ever, with the reason in a log only. So the rights are
checked before the first Pod, and what is missing is the task's error. Rights that only some pipelines need (claims,
Secrets) are not checked; a task that lacks one fails when it uses it.

Invariants: one call for a namespace where nothing is missing. What seems to be missing is asked for by itself, since
the list of rules may be incomplete. An API server without these reviews hinders no task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.errors import ForbiddenError, KubeError, NotFoundError

from penstock_executor.backoff import retried

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


async def may(client: KubeClient, namespace: str, verb: str, resource: str, group: str = "") -> bool:
    """Whether we may do that. Raises KubeError when it cannot be asked."""
    name, _, subresource = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": subresource}
    review = await client.create(f"{_REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": asked}})
    return bool(review["status"]["allowed"])


async def may_watch(client: KubeClient, namespace: str, resource: str, group: str = "") -> bool:
    """Whether we may list and watch what only explains more. Also True when the API server does not say."""

    async def asked() -> bool:
        return all([await may(client, namespace, verb, resource, group) for verb in ("list", "watch")])

    try:
        return await retried(asked)
    except KubeError:
        return True
