"""Decides whether a caller may make a call: evaluates the rule of the method on the request.

Invariants: every check of a rule must hold; what a request names but does not exist is NotFoundError before anything of
it is told; a token's own bounds hold before anybody is asked. Where callers are not asked who they are nothing is
checked. In single-user mode there is one namespace, the server's own, and objects are not looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import Any, Protocol

from penstock_api.v1beta1 import resource_reference_pb2

from penstock_server.access import rules
from penstock_server.access.attributes import Attributes, Authorizer, Decision
from penstock_server.access.roles import least_role
from penstock_server.access.rules import Check, Openness, Place, Unnamed
from penstock_server.domain.caller import Caller
from penstock_server.domain.location import Location, ObjectKind
from penstock_server.domain.role_binding import ALL_NAMESPACES
from penstock_server.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from penstock_server.services.tenancy import Tenancy

_SHARED = object()
_MOST_NAMED = 20
# Only these may belong to all namespaces; anything else without a namespace is from before there were any.
_SHAREABLE = (ObjectKind.PIPELINE, ObjectKind.PIPELINE_VERSION)
_KINDS = {
    resource_reference_pb2.EXPERIMENT: ObjectKind.EXPERIMENT,
    resource_reference_pb2.JOB: ObjectKind.RECURRING_RUN,
    resource_reference_pb2.PIPELINE: ObjectKind.PIPELINE,
    resource_reference_pb2.PIPELINE_VERSION: ObjectKind.PIPELINE_VERSION,
}


class Locations(Protocol):
    """Finds the namespaces of objects. None for what does not exist."""

    def of(self, kind: ObjectKind, identifier: str) -> Location | None: ...
    def of_uri(self, uri: str) -> Location | None: ...
    def of_task(self, run_id: str, node_id: str) -> Location | None: ...


class Authorization:
    """`own_namespace` is the server's: the one of single-user mode, and of what belongs to all namespaces."""

    def __init__(self, authorizer: Authorizer, locations: Locations, tenancy: Tenancy, own_namespace: str) -> None:
        self._authorizer = authorizer
        self._locations = locations
        self.tenancy = tenancy
        self._own_namespace = own_namespace
        self._own = (Location(own_namespace, ""),)

    def require(self, caller: Caller, method: str, request: Any) -> None:
        """Raises PermissionDeniedError, NotFoundError, InvalidArgumentError, UnavailableError."""
        rule = rules.rule_of(method)
        if rule is None:
            raise PermissionDeniedError(f"{method} may not be called here")
        if isinstance(rule, Openness):
            return
        for check in rule:
            self._check(caller, check, request)

    def _check(self, caller: Caller, check: Check, request: Any) -> None:
        if check.only_if and not field_value(request, check.only_if):
            return
        name = str(field_value(request, check.name)) if check.name else ""
        places = self._places(check.place, request) if self.tenancy.multi_user else self._own
        for place in places:
            if place is _SHARED:
                if check.verb in ("get", "list"):
                    continue
                location = Location(self._own_namespace, "")
            else:
                assert isinstance(place, Location)
                location = place
            self.demand(
                caller, Attributes(check.resource, check.verb, location.namespace, check.group, name or location.name)
            )

    def demand_in(self, caller: Caller, namespace: str, resource: str, verb: str, group: str) -> None:
        """Like `demand`, for a namespace that a caller names. Raises InvalidArgumentError if it is needed and empty."""
        self.demand(caller, Attributes(resource, verb, self._named_place(namespace), group))

    def administers(self, caller: Caller, resource: str, verb: str) -> bool:
        """Whether a caller has a right everywhere; in single-user mode in the one namespace that there is."""
        place = "" if self.tenancy.multi_user else self._own_namespace
        return self.decide(caller, Attributes(resource, verb, place)).allowed

    def granted(self, caller: Caller, namespace: str) -> list[tuple[str, str]]:
        """Of `rules.CHANGES` what a caller may do in a namespace, which is needed in multi-user mode.

        Raises InvalidArgumentError, UnavailableError.
        """
        place = self._named_place(namespace)
        return [change for change in rules.CHANGES if self.decide(caller, Attributes(*change, place)).allowed]

    def _named_place(self, namespace: str) -> str:
        if not self.tenancy.multi_user:
            return self._own_namespace
        if not namespace:
            raise InvalidArgumentError("a namespace is required in multi-user mode", "namespace")
        return namespace

    def demand(self, caller: Caller, wanted: Attributes) -> None:
        """Raises PermissionDeniedError, with the reason, unless the caller has the right."""
        decision = self.decide(caller, wanted)
        if not decision.allowed:
            raise PermissionDeniedError(
                _refusal(caller, wanted, decision.reason),
                resource=wanted.resource,
                verb=wanted.verb,
                namespace=wanted.namespace,
            )

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        scope = caller.scope
        if scope is not None:
            if scope.namespaces and wanted.namespace not in scope.namespaces:
                return Decision(allowed=False, reason="the token is for other namespaces")
            if not scope.role.includes(least_role(wanted.resource, wanted.verb)):
                return Decision(allowed=False, reason=f"the token has the role {scope.role.value} only")
        return self._authorizer.decide(caller, wanted)

    def _places(self, place: Place, request: Any) -> Iterable[Location | object]:
        """The namespaces in which a check is to hold; `_SHARED` for what belongs to all."""
        if isinstance(place, rules.OfObject):
            return [self._located(place.kind, one, place.path) for one in _named_by(request, place)]
        return self._other_places(place, request)

    def _other_places(self, place: Place, request: Any) -> Iterator[Location | object]:
        if isinstance(place, rules.InField):
            yield self._named(str(field_value(request, place.path)), place.path, place.unnamed)
        elif isinstance(place, rules.OfListing):
            yield from self._of_listing(place, request)
        elif isinstance(place, rules.OfReference):
            yield from self._of_reference(place, request)
        elif isinstance(place, rules.OfUri):
            location = self._locations.of_uri(str(field_value(request, place.path)))
            # What belongs to no run is an administrator's business.
            yield Location("", "") if location is None else location
        elif isinstance(place, rules.OfTask):
            run_id, node = str(field_value(request, place.run)), str(field_value(request, place.node))
            location = self._locations.of(ObjectKind.RUN, run_id) if run_id else self._locations.of_task("", node)
            if location is None:
                raise NotFoundError("Run" if run_id else "Task", run_id or node)
            yield location
        elif isinstance(place, rules.Everywhere):
            yield Location("", "")

    def _of_listing(self, place: rules.OfListing, request: Any) -> Iterator[Location | object]:
        namespace = str(field_value(request, place.namespace)) if place.namespace else ""
        narrowed = place.narrowed
        identifier = str(field_value(request, narrowed.path)) if narrowed is not None else ""
        if narrowed is not None and identifier:
            yield self._located(narrowed.kind, identifier, narrowed.path)
        if namespace or not identifier:
            yield self._named(namespace, place.namespace, place.unnamed)

    def _of_reference(self, place: rules.OfReference, request: Any) -> Iterator[Location | object]:
        value = field_value(request, place.path)
        keys = [value] if hasattr(value, "type") else [reference.key for reference in value]
        named = False
        for key in keys:
            kind = _KINDS.get(key.type)
            if key.type == resource_reference_pb2.NAMESPACE and key.id:
                yield Location(key.id, "")
            elif kind is not None and key.id:
                yield self._located(kind, key.id, place.path)
            else:
                continue
            named = True
        if not named:
            yield self._named("", place.path, place.unnamed)

    def _named(self, namespace: str, field: str, unnamed: Unnamed) -> Location | object:
        # A path of v1beta1 cannot be empty there, and a hyphen is no name of a namespace.
        if namespace and namespace != "-":
            return Location("" if namespace == ALL_NAMESPACES else namespace, "")
        if unnamed is Unnamed.INVALID:
            raise InvalidArgumentError("a namespace is required in multi-user mode", field)
        return _SHARED if unnamed is Unnamed.SHARED else Location("", "")

    def _located(self, kind: ObjectKind, identifier: str, field: str) -> Location | object:
        if not identifier:
            raise InvalidArgumentError("it is required", field)
        location = self._locations.of(kind, identifier)
        if location is None:
            raise NotFoundError(kind.value.replace("_", " ").capitalize(), identifier)
        if not location.namespace and kind in _SHAREABLE:
            return _SHARED
        return Location("", location.name) if location.namespace == ALL_NAMESPACES else location


def field_value(request: Any, path: str) -> Any:
    """The value of a field of a message; `path`, one of a rule, has dots between the names."""
    return _getter(path)(request)


def _named_by(request: Any, place: rules.OfObject) -> list[str]:
    """The ids in a field, each once. Raises InvalidArgumentError for more than are looked up for one call."""
    value = field_value(request, place.path)
    ids = [value] if isinstance(value, str) else list(dict.fromkeys(value))
    if len(ids) > _MOST_NAMED:
        raise InvalidArgumentError(f"there are {len(ids)}, at most {_MOST_NAMED} are allowed", place.path)
    return [] if place.optional and not any(ids) else ids or [""]


@cache
def _getter(path: str) -> Callable[[Any], Any]:
    return attrgetter(path)


def _refusal(caller: Caller, wanted: Attributes, reason: str) -> str:
    what = f"{wanted.verb} {wanted.resource}" + (f" {wanted.name!r}" if wanted.name else "")
    where = f"in namespace {wanted.namespace!r}" if wanted.namespace else "in all namespaces"
    return f"user {caller.user!r} may not {what} {where}" + (f": {reason}" if reason else "")
