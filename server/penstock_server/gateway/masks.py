"""Field masks as HTTP has them: `fields` or `$fields` in the query string, `X-Goog-FieldMask` as a header.

They become the metadata with which gRPC asks for the same; `rpc.field_masks` reads and applies them. Invariant: nothing
is refused here, so a mask is wrong for the same reason, and in the same words, however it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web
from google.protobuf.message import Message

from penstock_server.domain.field_masks import FIELD_MASK, PARAMETER
from penstock_server.gateway.calls import Metadata
from penstock_server.gateway.transcoder import is_penstock_field


def metadata(request: web.Request) -> Metadata:
    """With which the call is told the mask; nothing where there is none. All that a request has count as one."""
    query = [value for name in (PARAMETER, f"${PARAMETER}") for value in request.query.getall(name, ())]
    return _of((*query, *request.headers.getall(FIELD_MASK, ())))


def header(request: web.Request) -> Metadata:
    """As `metadata` of what the header alone has, which gRPC-Web sends its metadata with."""
    return _of(request.headers.getall(FIELD_MASK, ()))


def names_penstock_field(reply: type[Message], mask: Metadata) -> bool:
    """Whether a path names a field that Penstock added to upstream's messages, or one below it: that asks for it."""
    return any(_leads_to_one(reply.DESCRIPTOR, path.strip().split(".")) for _, text in mask for path in text.split(","))


def _of(texts: Iterable[str]) -> Metadata:
    given = ",".join(text for text in texts if text.strip())
    return ((FIELD_MASK, given),) if given else ()


def _leads_to_one(message: Any, path: list[str]) -> bool:
    """`message` is a descriptor."""
    for part in path:
        field = None
        if message is not None:
            field = message.fields_by_name.get(part) or message.fields_by_camelcase_name.get(part)
        if field is None:
            return False
        if is_penstock_field(field):
            return True
        message = field.message_type
    return False
