"""How many Pods may be there at a time: of the installation, of a namespace, and as a namespace's quota allows.

Why counted by Pods and not by launches: an executor that starts anew finds its predecessor's Pods, and those of another
executor of the installation count, too. Invariants: a place is reserved before a Pod is made and is the Pod's until it
has ended or is gone; what others of the installation make between two events of the watch is not known, so several
executors may exceed a bound by what they begin in that moment. A namespace whose quota refused a Pod is asked by one
launch at a time until it takes one.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.kubernetes.view import PodView

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
    """Until when a namespace is not asked again; by the monotonic clock."""

    text: str
    until: float
    pause: float = _FIRST_PAUSE_SECONDS


class Capacity:
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # Whether the Pod was seen; until then the place is only reserved.
        self._places: dict[AttemptKey, tuple[str, bool]] = {}
        self._by_namespace: Counter[str] = Counter()
        self._refused: dict[str, _Refused] = {}

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        """Takes a place for a Pod, empty; or gives the reason why it has to wait."""
        if key in self._places:
            return ""
        refused = self._refused.get(namespace)
        if refused is not None:
            if time.monotonic() < refused.until:
                return refused.text
            refused.until = time.monotonic() + refused.pause
        there, limit = len(self._places), self._bounds.installation
        if limit and there >= limit:
            return f"no place is free: {there} of {limit} Pods run (--parallelism)"
        there, limit = self._by_namespace[namespace], self._bounds.namespace
        if limit and there >= limit:
            return f"no place is free: {there} of {limit} Pods run in {namespace} (--namespace-parallelism)"
        self._put(key, namespace, seen=False)
        return ""

    def cancel(self, key: AttemptKey) -> None:
        """The Pod for which a place was reserved is not made after all."""
        if key in self._places and not self._places[key][1]:
            self._drop(key)

    def see(self, view: PodView) -> None:
        """A Pod as it is now, whoever made it."""
        if view.key is None:
            return
        if view.ended:
            self.gone(view)
        else:
            self._put(view.key, view.namespace, seen=True)

    def gone(self, view: PodView) -> None:
        if view.key in self._places:
            self._drop(view.key)
        refused = self._refused.get(view.namespace)
        if refused is not None:
            # It gave back what it had of the quota.
            refused.until = 0.0

    def made(self, namespace: str) -> None:
        """The API server took a Pod."""
        self._refused.pop(namespace, None)

    def refuse(self, namespace: str, message: str) -> str:
        """The namespace's quota refused a Pod; the reason in plain words."""
        known = self._refused.get(namespace)
        pause = min(known.pause * 2, _LONGEST_PAUSE_SECONDS) if known is not None else _FIRST_PAUSE_SECONDS
        text = quota_text(message)
        self._refused[namespace] = _Refused(text, time.monotonic() + pause, pause)
        return text

    def _put(self, key: AttemptKey, namespace: str, *, seen: bool) -> None:
        if key not in self._places:
            self._by_namespace[namespace] += 1
        self._places[key] = (namespace, seen)

    def _drop(self, key: AttemptKey) -> None:
        namespace, _ = self._places.pop(key)
        self._by_namespace[namespace] -= 1
        if not self._by_namespace[namespace]:
            del self._by_namespace[namespace]


def quota_text(message: str) -> str:
    """What the API server said of a quota, in plain words."""
    found = _QUOTA.search(message)
    if found is None:
        return f"the namespace's quota: {message}"
    asked, used, limit = found["asked"], found["used"], found["limit"]
    return f"the namespace's quota {found['name']!r}: the Pod asks for {asked}, {used} of {limit} is used"
