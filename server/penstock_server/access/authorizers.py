"""Who knows the rights of callers: role bindings, or the cluster, each behind a cache of seconds.

Invariants: an answer is kept for `SECONDS` at most, allowed and refused alike, so that a right that is taken away ends
that soon; a cluster that does not answer is UnavailableError and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from penstock_server.access.attributes import Attributes, Authorizer, Decision
from penstock_server.access.roles import Binding, decide
from penstock_server.domain.caller import Caller
from penstock_server.services.kept import Kept

SECONDS = 5.0
_ENTRIES = 20_000
# Upstream asks with this version for all of its APIs (api.md §6.1).
_VERSION = "v1beta1"


class RoleAuthorizer:
    """Decides by role bindings. `sources` return those of a file, those of the database; they may block."""

    def __init__(self, *sources: Callable[[], Iterable[Binding]]) -> None:
        self._sources = sources

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        return decide((binding for source in self._sources for binding in source()), caller, wanted)


class Reviews(Protocol):
    """Creates a review in the cluster and returns it with its status. Raises UnavailableError."""

    def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]: ...


class SubjectAccessReviewAuthorizer:
    """Asks the cluster, with upstream's group, resources and verbs, so that its ClusterRoles hold."""

    def __init__(self, reviews: Reviews) -> None:
        self._reviews = reviews

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        attributes = {
            "namespace": wanted.namespace,
            "verb": wanted.verb,
            "group": wanted.group,
            "version": _VERSION,
            "resource": wanted.resource,
            "name": wanted.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": caller.user,
                "groups": list(caller.groups),
                "resourceAttributes": {key: value for key, value in attributes.items() if value},
            },
        }
        status = self._reviews.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body).get("status") or {}
        allowed = status.get("allowed") is True and status.get("denied") is not True
        return Decision(allowed, str(status.get("reason") or "")[:500])


class CachedAuthorizer:
    """Keeps the answers of another authorizer. `by_name`: whether they differ by the object's name; if they do not,
    what is asked for one object, such as a run that has just been named, is answered by what was asked for another.
    """

    def __init__(self, authorizer: Authorizer, seconds: float = SECONDS, *, by_name: bool = True) -> None:
        self._authorizer = authorizer
        self._by_name = by_name
        self._answers: Kept[tuple[Any, ...], Decision] = Kept(_ENTRIES, seconds)

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        name = wanted.name if self._by_name else ""
        key = (caller.user, caller.groups, wanted.resource, wanted.verb, wanted.namespace, wanted.group, name)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._authorizer.decide(caller, wanted)
            self._answers.put(key, answer)
        return answer
