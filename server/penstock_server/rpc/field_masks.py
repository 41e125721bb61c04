"""Where field masks are read and applied, for calls over gRPC, gRPC-Web and REST alike.

How: the interceptor has every call of a method that can be masked answered through `answered`. The mask is checked
against the answer's message before the handler runs; the handler may ask `current_mask` what it need not read; what it
returns is cut to the mask here, whether it asked or not. So no handler can tell too much, or refuse a mask another way.

Invariants: a call without a mask is answered as if there were none; a path through a list holds for each of its
elements; a path ends at a map and at a type that JSON writes as one value (times, documents). Answers are the handler's
own: none is kept and given to another call, for it is cut in place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from penstock_ir.descriptors import is_repeated

from penstock_server.domain.field_masks import (
    EVERYTHING,
    FIELD_MASK,
    PARAMETER,
    WILDCARD,
    FieldMask,
    Path,
    mask_of,
    paths_of,
    takes_mask,
)
from penstock_server.errors import InvalidArgumentError

_CAPITAL = re.compile("[A-Z]")
_current: ContextVar[FieldMask] = ContextVar("field_mask", default=EVERYTHING)


def current_mask() -> FieldMask:
    """Of the answer to the call that this thread carries out."""
    return _current.get()


def answered(method: str, context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    """What `answer` returns, as much of it as the call asks for. `method` is the full path of the RPC.

    Raises InvalidArgumentError before `answer` is called, and what that raises.
    """
    text = _asked(context) if takes_mask(method) else ""
    if not text:
        return answer()
    mask = _mask(method, text)
    reset = _current.set(mask)
    try:
        reply = answer()
    finally:
        _current.reset(reset)
    cut(reply, mask)
    return reply


def cut(message: Any, mask: FieldMask) -> None:
    """Clears all fields of a message that the mask has not."""
    if mask.tree is None:
        return
    for field, value in message.ListFields():
        below = mask.tree.get(field.name)
        if below is None:
            message.ClearField(field.name)
        elif below.tree is not None:
            for one in value if is_repeated(field) else (value,):
                cut(one, below)


def mask_for(message: Descriptor, text: str) -> FieldMask:
    """The mask that a text means for a message. Raises InvalidArgumentError, which names the path and what there is."""
    paths = [path if path == (WILDCARD,) else _named(message, path) for path in paths_of(text)]
    return EVERYTHING if (WILDCARD,) in paths else mask_of(paths)


def _asked(context: grpc.ServicerContext) -> str:
    """All masks that the metadata of a call has, as one."""
    given = (value for key, value in context.invocation_metadata() or () if key == FIELD_MASK)
    return ",".join(value for value in given if isinstance(value, str) and value.strip())


# What is asked for with masks is asked for again and again; a text is no longer than the metadata of a call.
@lru_cache(maxsize=256)
def _mask(method: str, text: str) -> FieldMask:
    service, _, name = method.removeprefix("/").partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return mask_for(found.output_type, text)


def _named(message: Descriptor, path: Path) -> Path:
    """The path with the names of the protos."""
    named: list[str] = []
    at: Descriptor | None = message
    for part in path:
        if at is None:
            text = ".".join(path)
            raise InvalidArgumentError(
                f"{text!r}: nothing below {'.'.join(named)} can be asked for by itself", PARAMETER
            )
        fields = _fields(at)
        if part not in fields:
            known = ", ".join(sorted(at.fields_by_name))
            raise InvalidArgumentError(
                f"{'.'.join(path)!r}: {at.name} has no field {part!r}; it has {known}", PARAMETER
            )
        named.append(fields[part].name)
        at = _below(fields[part])
    return tuple(named)


@cache
def _fields(message: Descriptor) -> dict[str, FieldDescriptor]:
    """By their names in the protos, with underscores and in camelCase."""
    with_underscores = {_CAPITAL.sub(lambda one: f"_{one[0].lower()}", field.name): field for field in message.fields}
    return {**message.fields_by_camelcase_name, **with_underscores, **message.fields_by_name}


def _below(field: FieldDescriptor) -> Descriptor | None:
    """The message whose fields can be asked for, if there is one."""
    kind = field.message_type
    if kind is None or kind.GetOptions().map_entry or kind.full_name.startswith("google.protobuf."):
        return None
    return kind
