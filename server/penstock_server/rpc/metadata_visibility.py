"""Removes from the replies of ML Metadata what the caller may not see.

Why filter replies: the store has no namespaces, and its queries are the library's. Whose an object is follows from its
name, which executors alone write: an execution is `run/<run id>/...`, a context of a run has the run's id, the context
of a pipeline `namespace/<namespace>/pipeline/...`, and an artifact is one of our own table.

Invariants: every message of a reply is looked at by its type, wherever it stands, so a method that is new to the
library is filtered as well; what has no name, or none of these, only those see who may see everything; an event,
attribution, association or parenthood is seen by those who see both of its ends. Types are everybody's. A page may hold
less than was asked for, and has the token of the next one all the same.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cachetools import LRUCache
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb

from penstock_server.access.attributes import Attributes
from penstock_server.access.authorization import Authorization, Locations
from penstock_server.domain.caller import Caller
from penstock_server.domain.location import ObjectKind

_KEPT = 50_000
_EXECUTION = re.compile(r"run/([^/]+)(?:/|$)")
_PIPELINE = re.compile(r"namespace/([^/]+)/pipeline/")
# How many ids are asked of the store in one call.
_BATCH = 1_000
Call = Callable[[str, Message], bytes]
"""Calls a method of the store and returns the serialized reply."""


class MetadataVisibility:
    """Thread-safe: what is kept is the namespace of each object's id, which never changes."""

    def __init__(self, authorization: Authorization, locations: Locations) -> None:
        self._authorization = authorization
        self._locations = locations
        self._lock = threading.Lock()
        self._namespaces: LRUCache[tuple[str, int], str] = LRUCache(_KEPT)

    def filtered(self, caller: Caller, method: str, reply: bytes, call: Call) -> bytes:
        """The reply of a method without what the caller may not see. Raises UnavailableError."""
        if not self._authorization.tenancy.multi_user or self.may_see(caller, ""):
            return reply
        message = getattr(service_pb, f"{method}Response").FromString(reply)
        _Filter(self, caller, call).apply(message)
        return bytes(message.SerializeToString(deterministic=True))

    def namespace_of(self, message: pb.Artifact | pb.Execution | pb.Context) -> str | None:
        """The namespace of an object of the store; None for one that is nobody's."""
        key = (type(message).__name__, message.id)
        with self._lock:
            known = self._namespaces.get(key)
        if known is not None:
            return known
        namespace = self._owner(message)
        if namespace and message.id:
            with self._lock:
                self._namespaces[key] = namespace
        return namespace or None

    def known(self, kind: str, identifier: int) -> str | None:
        """The namespace of an id that was seen before."""
        with self._lock:
            return self._namespaces.get((kind, identifier))

    def _owner(self, message: pb.Artifact | pb.Execution | pb.Context) -> str:
        if isinstance(message, pb.Artifact):
            location = self._locations.of(ObjectKind.ARTIFACT, message.name)
        elif isinstance(message, pb.Execution):
            run = _EXECUTION.match(message.name)
            location = self._locations.of(ObjectKind.RUN, run.group(1)) if run else None
        else:
            pipeline = _PIPELINE.match(message.name)
            if pipeline:
                return pipeline.group(1)
            location = self._locations.of(ObjectKind.RUN, message.name)
        return location.namespace if location is not None else ""

    def may_see(self, caller: Caller, namespace: str) -> bool:
        """Who may see a namespace's runs may see what is recorded of them; an empty `namespace` asks for all."""
        return self._authorization.decide(caller, Attributes("runs", "get", namespace)).allowed


class _Filter:
    """One reply for one caller."""

    def __init__(self, visibility: MetadataVisibility, caller: Caller, call: Call) -> None:
        self._visibility = visibility
        self._caller = caller
        self._call = call
        self._seen: dict[str | None, bool] = {None: False}

    def apply(self, message: Message) -> None:
        """Removes what the caller may not see from the fields of `message`, and of the messages in it."""
        for field, value in message.ListFields():
            if field.type != FieldDescriptor.TYPE_MESSAGE:
                continue
            if _is_map(field):
                for key in value:
                    if isinstance(value[key], Message):
                        self.apply(value[key])
            elif field.is_repeated:
                kept = self._kept(value)
                if len(kept) < len(value):
                    copies = [_copy(one) for one in kept]
                    del value[:]
                    value.extend(copies)
            elif not self._kept([value]):
                message.ClearField(field.name)

    def _kept(self, messages: Iterable[Any]) -> list[Any]:
        found = list(messages)
        self._learn(found)
        kept = []
        for message in found:
            if not self._is_visible(message):
                continue
            if not isinstance(message, _JUDGED):
                self.apply(message)
            kept.append(message)
        return kept

    def _is_visible(self, message: Any) -> bool:
        if isinstance(message, pb.Artifact | pb.Execution | pb.Context):
            return self._sees(self._visibility.namespace_of(message))
        return all(self._sees(self._visibility.known(kind, number)) for kind, number in _ends(message))

    def _sees(self, namespace: str | None) -> bool:
        if namespace not in self._seen:
            self._seen[namespace] = self._visibility.may_see(self._caller, namespace or "")
        return self._seen[namespace]

    def _learn(self, messages: Iterable[Any]) -> None:
        """Finds out whose the ends of events and the like are, for all of them at once."""
        unknown: dict[str, set[int]] = {}
        for message in messages:
            for kind, number in _ends(message):
                if self._visibility.known(kind, number) is None:
                    unknown.setdefault(kind, set()).add(number)
        for kind, numbers in unknown.items():
            method, request_type, reply_type, ids, objects = _BY_ID[kind]
            ordered = sorted(numbers)
            for first in range(0, len(ordered), _BATCH):
                request = request_type(**{ids: ordered[first : first + _BATCH]})
                reply = reply_type.FromString(self._call(method, request))
                for one in getattr(reply, objects):
                    self._visibility.namespace_of(one)


_JUDGED = (pb.Artifact, pb.Execution, pb.Context)
_BY_ID: dict[str, tuple[str, Any, Any, str, str]] = {
    kind: (
        f"Get{kind}sByID",
        getattr(service_pb, f"Get{kind}sByIDRequest"),
        getattr(service_pb, f"Get{kind}sByIDResponse"),
        f"{kind.lower()}_ids",
        f"{kind.lower()}s",
    )
    for kind in ("Artifact", "Execution", "Context")
}


def _ends(message: Any) -> list[tuple[str, int]]:
    """What a message connects: kinds and ids; nothing for one that connects nothing."""
    if isinstance(message, pb.Event):
        return [("Artifact", message.artifact_id), ("Execution", message.execution_id)]
    if isinstance(message, pb.Attribution):
        return [("Artifact", message.artifact_id), ("Context", message.context_id)]
    if isinstance(message, pb.Association):
        return [("Execution", message.execution_id), ("Context", message.context_id)]
    if isinstance(message, pb.ParentContext):
        return [("Context", message.child_id), ("Context", message.parent_id)]
    return []


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
