"""How many Pods may exist at a time: of the installation, of a namespace, and as a namespace's quota allows.

Why Pods are counted and not launches: an executor that starts anew finds its predecessor's Pods, and those of other
executors of the installation count, too.

Invariants: capacity is reserved before a Pod is created, and stays reserved until the Pod has ended or is gone. What
other executors create between two events of the watch is not known, so several executors may together exceed a bound
by what they create in that moment. When a namespace's quota has refused a Pod, one launch at a time tries again there
until the API server accepts one.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass

from penstock_ir.quantities import parse_quantity

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.kubernetes.view import PodGlance, PodView

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0
_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.+), used: (?P<used>.+), limited: (?P<limit>.+)$"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Pods at a time; 0 means no bound."""

    installation: int = 1000
    namespace: int = 0


@dataclass(slots=True)
class _Refused:
    """Until when nothing is created in a namespace, by the monotonic clock; `pause` in seconds doubles each time."""

    text: str
    until: float
    pause: float = _FIRST_PAUSE_SECONDS


class Capacity:
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # The namespace, and whether the Pod was seen already.
        self._reserved: dict[AttemptKey, tuple[str, bool]] = {}
        self._by_namespace: Counter[str] = Counter()
        self._refused: dict[str, _Refused] = {}

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        """Reserves capacity for a Pod. Returns the reason why it has to wait, empty when it may be created."""
        if key in self._reserved:
            return ""
        refused = self._refused.get(namespace)
        if refused is not None:
            if time.monotonic() < refused.until:
                return refused.text
            refused.until = time.monotonic() + refused.pause
        there, limit = len(self._reserved), self._bounds.installation
        if limit and there >= limit:
            return f"no place is free: {there} of {limit} Pods run (--parallelism)"
        there, limit = self._by_namespace[namespace], self._bounds.namespace
        if limit and there >= limit:
            return f"no place is free: {there} of {limit} Pods run in {namespace} (--namespace-parallelism)"
        self._put(key, namespace, seen=False)
        return ""

    @property
    def most(self) -> int:
        """How many places a namespace may have at most; 0: without a bound."""
        return min((bound for bound in (self._bounds.installation, self._bounds.namespace) if bound), default=0)

    @property
    def taken(self) -> int:
        """How many places are not free."""
        return len(self._reserved)

    def cancel(self, key: AttemptKey) -> None:
        """The Pod for which capacity was reserved is not created after all."""
        if key in self._reserved and not self._reserved[key][1]:
            self._drop(key)

    def take(self, key: AttemptKey, namespace: str) -> None:
        """The attempt has a place that is no Pod of its own, until `free`."""
        self._put(key, namespace, seen=True)

    def hand_over(self, key: AttemptKey) -> None:
        """A place that was taken becomes that of a Pod that is about to be created: `cancel` gives it back."""
        if key in self._reserved:
            namespace, _ = self._reserved[key]
            self._put(key, namespace, seen=False)

    def free(self, key: AttemptKey) -> None:
        if key in self._reserved:
            self._drop(key)

    def pod_seen(self, view: PodView | PodGlance) -> None:
        """A Pod as it is now, whoever created it."""
        if view.key is None:
            return
        if view.ended:
            self.pod_gone(view)
        else:
            self._put(view.key, view.namespace, seen=True)

    def pod_gone(self, view: PodView | PodGlance) -> None:
        if view.key in self._reserved:
            self._drop(view.key)
        refused = self._refused.get(view.namespace)
        if refused is not None:
            # There is room in the quota again.
            refused.until = 0.0

    def pod_created(self, namespace: str) -> None:
        """The API server accepted a Pod."""
        self._refused.pop(namespace, None)

    def quota_exceeded(self, namespace: str, message: str) -> str:
        """The namespace's quota refused a Pod. Returns the reason in plain words."""
        known = self._refused.get(namespace)
        pause = min(known.pause * 2, _LONGEST_PAUSE_SECONDS) if known is not None else _FIRST_PAUSE_SECONDS
        text = quota_text(message)
        self._refused[namespace] = _Refused(text, time.monotonic() + pause, pause)
        return text

    def _put(self, key: AttemptKey, namespace: str, *, seen: bool) -> None:
        if key not in self._reserved:
            self._by_namespace[namespace] += 1
        self._reserved[key] = (namespace, seen)

    def _drop(self, key: AttemptKey) -> None:
        namespace, _ = self._reserved.pop(key)
        self._by_namespace[namespace] -= 1
        if not self._by_namespace[namespace]:
            del self._by_namespace[namespace]


def never_fits(message: str) -> str:
    """What of a Pod is more than a quota allows in all, by what the API server said; empty when it would fit an empty
    namespace, or that cannot be told."""
    match = _QUOTA.search(message)
    if match is None:
        return ""
    asked, limited = _amounts(match["asked"]), _amounts(match["limit"])
    for resource, amount in asked.items():
        wanted, allowed = parse_quantity(amount), parse_quantity(limited.get(resource))
        if wanted is not None and allowed is not None and wanted > allowed:
            return (
                f"the namespace's quota {match['name']!r} allows {resource}={limited[resource]} in all, and the Pod "
                f"asks for {amount}: it would not fit if nothing else ran"
            )
    return ""


def _amounts(text: str) -> dict[str, str]:
    """Of `cpu=2,memory=1Gi`."""
    return dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)


def quota_text(message: str) -> str:
    """What the API server said of a quota, in plain words."""
    match = _QUOTA.search(message)
    if match is None:
        return f"the namespace's quota: {message}"
    asked, used, limit = match["asked"], match["used"], match["limit"]
    return f"the namespace's quota {match['name']!r}: the Pod asks for {asked}, {used} of {limit} is used"
