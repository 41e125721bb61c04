"""Maps file URIs of artifacts to volume URIs for the web UI, in gRPC-Web messages.

Why: to preview an artifact, the UI parses its URI, and it knows a few schemes only (api.md §4.2). `file` is none of
them, so previews of local artifacts fail in the UI; `volume` is one, with the name of a volume and a path in it. Files
of this machine are shown as its volume `localhost`, as in file://localhost/path, and `gateway/ui.py` reads that volume
as files.

Invariants: one prefix is replaced by the other, in replies and back in requests, and nothing else is changed; ML
Metadata itself and all clients over gRPC have the file URI.
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


def reply_for_browser(method: str, reply: bytes) -> bytes:
    """The reply of a method (by full path) with volume URIs."""
    descriptor = _METHODS.get(method)
    return reply if descriptor is None else _rewrite(descriptor.output_type, reply, _FILES, _VOLUME)


def request_from_browser(method: str, request: bytes) -> bytes:
    """A browser's request with file URIs."""
    descriptor = _METHODS.get(method)
    return request if descriptor is None else _rewrite(descriptor.input_type, request, _VOLUME, _FILES)


def _rewrite(kind: Descriptor, content: bytes, old: str, new: str) -> bytes:
    asks_by_uri = kind.name == "GetArtifactsByURIRequest"
    if old.encode() not in content or not (asks_by_uri or _contains_artifacts(kind)):
        return content
    message: Any = message_factory.GetMessageClass(kind)()
    try:
        message.ParseFromString(content)
    except DecodeError:
        # The service itself reports a request that it cannot decode.
        return content
    for artifact in _artifacts(message):
        artifact.uri = _replace_prefix(artifact.uri, old, new)
    if asks_by_uri:
        message.uris[:] = [_replace_prefix(uri, old, new) for uri in message.uris]
    written: bytes = message.SerializeToString()
    return written


def _replace_prefix(uri: str, old: str, new: str) -> str:
    return new + uri[len(old) :] if uri.startswith(old) else uri


def _artifacts(message: Message) -> Iterator[Any]:
    if message.DESCRIPTOR.full_name == _ARTIFACT:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None and _contains_artifacts(field.message_type):
            for nested in (value,) if isinstance(value, Message) else value:
                yield from _artifacts(nested)


@cache
def _contains_artifacts(kind: Descriptor) -> bool:
    """Whether the message type has artifacts at any depth; types may be recursive."""
    seen: set[str] = set()
    pending = [kind]
    while pending:
        current = pending.pop()
        if current.full_name == _ARTIFACT:
            return True
        if current.full_name not in seen:
            seen.add(current.full_name)
            pending += [field.message_type for field in current.fields if field.message_type is not None]
    return False
