"""Warning events about Pods that do not start, by Pod.

Why events: a Pod's status does not say that a volume cannot be mounted, that its sandbox cannot be created, or how
often an image was tried.

Invariants: one watch a namespace, of warnings about Pods alone. Only events about a start are kept, and for as long as
the API server keeps them. Without the right to watch events nothing fails, but less is explained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.reflector import EventKind, Reflector, ReflectorTiming

from penstock_executor.backends.kubernetes.rights import may_watch
from penstock_executor.backends.kubernetes.view import mapping, number, text

log = logging.getLogger(__name__)

VOLUME = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
SANDBOX = frozenset({"FailedCreatePodSandBox", "NetworkNotReady"})
PULL = "Failed"
_PULL_MESSAGE = "Failed to pull image"
_KEPT_MESSAGE = 1024
WATCH = ReflectorTiming(lifetime=(45.0, 75.0))
"""An API server sends no bookmarks for events, so a watch of a quiet namespace ends before it counts as stalled."""


@dataclass(frozen=True, slots=True)
class PodWarning:
    """A warning of the Pod `pod` with the uid `uid`, seen `count` times; `name` is the event's."""

    name: str
    pod: str
    uid: str
    reason: str
    message: str
    count: int = 1


class PodWarnings:
    """The warnings of one namespace. `on_warning` is called with each that is new or repeated."""

    def __init__(self, client: KubeClient, namespace: str, on_warning: Callable[[PodWarning], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._on_warning = on_warning
        self._by_pod: dict[str, dict[str, PodWarning]] = {}

    def of(self, uid: str) -> tuple[PodWarning, ...]:
        """One for each reason: the latest message, and the sum of the counts."""
        by_reason: dict[str, PodWarning] = {}
        for warning in self._by_pod.get(uid, {}).values():
            earlier = by_reason.get(warning.reason)
            by_reason[warning.reason] = replace(warning, count=warning.count + earlier.count) if earlier else warning
        return tuple(by_reason.values())

    async def work(self) -> None:
        """Watches until cancelled; returns at once when the executor has no right to."""
        if not await may_watch(self._client, self._namespace, "events"):
            text = "the executor's Role lacks list, watch events: what Pods wait for on their node is not explained"
            log.warning("namespace %s: %s", self._namespace, text)
            return
        events: Reflector[PodWarning | None] = Reflector(
            self._client,
            f"/api/v1/namespaces/{self._namespace}/events",
            trim=warning_of,
            on_event=self._take,
            field_selector="involvedObject.kind=Pod,type=Warning",
            timing=WATCH,
        )
        await events.run()

    def _take(self, kind: EventKind, warning: PodWarning | None) -> None:
        if warning is None:
            return
        if kind is not EventKind.DELETED:
            known = self._by_pod.setdefault(warning.uid, {})
            # Moved to the end, so that the latest message comes last.
            known.pop(warning.name, None)
            known[warning.name] = warning
            self._on_warning(warning)
            return
        known = self._by_pod.get(warning.uid, {})
        known.pop(warning.name, None)
        if not known:
            self._by_pod.pop(warning.uid, None)


def warning_of(event: Mapping[str, Any]) -> PodWarning | None:
    """What an Event says of a Pod that does not start; None for any other."""
    about, reason, message = mapping(event, "involvedObject"), text(event, "reason"), text(event, "message")
    pulls = reason == PULL and message.startswith(_PULL_MESSAGE)
    if text(event, "type") != "Warning" or not (pulls or reason in VOLUME or reason in SANDBOX):
        return None
    count = number(event, "count") or number(mapping(event, "series"), "count") or 1
    name = text(mapping(event, "metadata"), "name")
    return PodWarning(name, text(about, "name"), text(about, "uid"), reason, message[:_KEPT_MESSAGE], count)
