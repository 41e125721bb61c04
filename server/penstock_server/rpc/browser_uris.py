"""Places of artifacts in a form that the web UI can parse, for what travels as gRPC-Web.

Why: the UI turns an artifact's URI into a request for its content, and for that it takes URIs apart by schemes that it
knows (api.md §4.2). `file` is none of them, so a preview of a local artifact failed before anything was asked; `volume`
is one, with a volume's name and a path in it. The files of this machine are its volume `localhost`, as in
file://localhost/path; what comes back with that name is read as the file (`gateway/ui.py`).

Invariants: one prefix stands for the other, in replies and in requests, and nothing else is changed; ML Metadata itself
and every client over gRPC has the file's URI.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

_SERVICE = metadata_store_service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"]
_METHODS = {f"/{_SERVICE.full_name}/{method.name}": method for method in _SERVICE.methods}
_ARTIFACT = metadata_store_pb2.Artifact.DESCRIPTOR.full_name
_FILES = "file:///"
_VOLUME = "volume://localhost/"


def shown(method: str, reply: bytes) -> bytes:
    """A reply of the method (by its full path) as a browser gets it."""
    found = _METHODS.get(method)
    return reply if found is None else _rewritten(found.output_type, reply, _FILES, _VOLUME)


def taken(method: str, request: bytes) -> bytes:
    """A browser's request as the method gets it."""
    found = _METHODS.get(method)
    return request if found is None else _rewritten(found.input_type, request, _VOLUME, _FILES)


def _rewritten(kind: Descriptor, content: bytes, old: str, new: str) -> bytes:
    asks_by_uri = kind.name == "GetArtifactsByURIRequest"
    if old.encode() not in content or not (asks_by_uri or _carries_artifacts(kind)):
        return content
    message: Any = message_factory.GetMessageClass(kind)()
    try:
        message.ParseFromString(content)
    except DecodeError:
        # The service says so in its own words.
        return content
    for artifact in _artifacts(message):
        artifact.uri = _moved(artifact.uri, old, new)
    if asks_by_uri:
        message.uris[:] = [_moved(uri, old, new) for uri in message.uris]
    written: bytes = message.SerializeToString()
    return written


def _moved(uri: str, old: str, new: str) -> str:
    return new + uri[len(old) :] if uri.startswith(old) else uri


def _artifacts(message: Message) -> Iterator[Any]:
    if message.DESCRIPTOR.full_name == _ARTIFACT:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None and _carries_artifacts(field.message_type):
            for one in (value,) if isinstance(value, Message) else value:
                yield from _artifacts(one)


@cache
def _carries_artifacts(kind: Descriptor) -> bool:
    """Anywhere in it; kinds may hold each other."""
    seen: set[str] = set()
    open_ = [kind]
    while open_:
        one = open_.pop()
        if one.full_name == _ARTIFACT:
            return True
        if one.full_name not in seen:
            seen.add(one.full_name)
            open_ += [field.message_type for field in one.fields if field.message_type is not None]
    return False
