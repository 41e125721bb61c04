"""What Kueue says of the Pods that wait in its queues (docs/pods.md, "Queues").

Why: a Pod that Kueue holds back says by its gate that it waits; for what, only its Workload says.

Invariants: nothing is asked of a cluster before a Pod there waits for Kueue; from then on, one watch of a namespace's
Workloads. Without Kueue's kinds, or the right to watch them, nothing fails, but less is explained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.errors import KubeError
from penstock_kube.reflector import EventKind, Reflector

from penstock_executor.backends.kubernetes.rights import may_watch
from penstock_executor.backends.kubernetes.view import entries, mapping, text
from penstock_executor.backoff import retried

log = logging.getLogger(__name__)

GATE = "kueue.x-k8s.io/admission"
_GROUP = "kueue.x-k8s.io"
_KEPT_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """`pods` are names and uids of the Pods that it stands for; `message` is empty once it is admitted."""

    name: str
    pods: tuple[tuple[str, str], ...]
    message: str


class Workloads:
    """Those of one namespace. `on_message(pod, uid)` is called when something new is said of a Pod."""

    def __init__(self, client: KubeClient, namespace: str, on_message: Callable[[str, str], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._on_message = on_message
        self._messages: dict[str, str] = {}

    def of(self, uid: str) -> str:
        """What a Pod waits for; empty when that is not known."""
        return self._messages.get(uid, "")

    async def work(self) -> None:
        """Watches until cancelled; returns at once when there is no Kueue, or no right to."""
        try:
            group = await retried(lambda: self._client.get(f"/apis/{_GROUP}"))
        except KubeError as error:
            log.warning("namespace %s: Pods wait for Kueue, whose API is not there: %s", self._namespace, error)
            return
        if not await may_watch(self._client, self._namespace, "workloads", _GROUP):
            said = "the executor's Role lacks list, watch workloads: what Pods wait for in queues is not explained"
            log.warning("namespace %s: %s", self._namespace, said)
            return
        version = text(mapping(group, "preferredVersion"), "version")
        workloads: Reflector[WorkloadView] = Reflector(
            self._client,
            f"/apis/{_GROUP}/{version}/namespaces/{self._namespace}/workloads",
            trim=workload_of,
            on_event=self._take,
        )
        await workloads.run()

    def _take(self, kind: EventKind, workload: WorkloadView) -> None:
        for pod, uid in workload.pods:
            if kind is EventKind.DELETED or not workload.message:
                self._messages.pop(uid, None)
            elif self._messages.get(uid) != workload.message:
                self._messages[uid] = workload.message
                self._on_message(pod, uid)


def workload_of(document: Mapping[str, Any]) -> WorkloadView:
    """Reads a Workload as the API server sends it, of any version so far."""
    metadata, status = mapping(document, "metadata"), mapping(document, "status")
    owners = [one for one in entries(metadata, "ownerReferences") if one.get("kind") == "Pod"]
    pods = tuple((text(one, "name"), text(one, "uid")) for one in owners)
    return WorkloadView(text(metadata, "name"), pods, _message(status)[:_KEPT_MESSAGE])


def _message(status: Mapping[str, Any]) -> str:
    conditions = {text(one, "type"): one for one in entries(status, "conditions")}
    if text(conditions.get("Admitted", {}), "status") == "True":
        return ""
    reserved = conditions.get("QuotaReserved", {})
    if text(reserved, "status") != "True":
        return text(reserved, "message")
    checks = [one for one in entries(status, "admissionChecks") if text(one, "state") != "Ready"]
    names = ", ".join(f"{text(one, 'name')} ({text(one, 'message') or text(one, 'state')})" for one in checks)
    return f"its quota is reserved, and it waits for the admission checks {names}" if names else ""
