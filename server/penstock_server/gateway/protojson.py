"""Converts messages to protojson several times as fast as the library, which is most of the time of a REST reply.

How: the conversion of a field is decided once per message type, not once per value. Invariant: the result equals
`json_format.MessageToDict(message, preserving_proto_field_name=True)`, except that whole doubles have no fraction, as
in protojson (a test compares both), and that keys of maps are sorted: the library returns them in the order of a hash
table, which differs between processes. Well-known types with rules of their own, such as Any, are left to the library.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.whole_numbers import whole_number
from penstock_ir.descriptors import is_repeated
from penstock_ir.json_text import plain_number

Writer = Callable[[Any], Any]
_LONG = (
    FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64,
)  # fmt: skip
_FRACTIONS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
_writers: dict[str, Writer] = {}


def to_dict(message: Message) -> Any:
    """The message as values for `json.dumps`."""
    return _writer(message.DESCRIPTOR)(message)


def _writer(descriptor: Any) -> Writer:
    name = descriptor.full_name
    writer = _writers.get(name)
    if writer is None:
        writer = _writers[name] = _SPECIAL.get(name) or (
            _library_writer if name.startswith("google.protobuf.") else _message_writer(descriptor)
        )
    return writer


def _message_writer(descriptor: Any) -> Writer:
    fields: dict[int, tuple[str, Writer | None]] = {}

    def write(message: Any) -> dict[str, Any]:
        document = {}
        for field, value in message.ListFields():
            entry = fields.get(field.number)
            if entry is None:
                entry = fields[field.number] = (field.name, _field(field))
            name, convert = entry
            document[name] = value if convert is None else convert(value)
        return document

    return write


def _field(field: Any) -> Writer | None:
    """None for values that are JSON already."""
    convert: Any
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        convert = _scalar(field.message_type.fields_by_name["value"])
        return lambda values: {
            _key(key): values[key] if convert is None else convert(values[key]) for key in sorted(values)
        }
    convert = _scalar(field)
    if not is_repeated(field):
        return convert
    return list if convert is None else lambda values: [convert(value) for value in values]


def _scalar(field: Any) -> Writer | None:
    if field.message_type is not None:
        return _writer(field.message_type)
    if field.type == FieldDescriptor.TYPE_ENUM:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda number: names.get(number, number)
    if field.type in _LONG:
        return str
    if field.type in _FRACTIONS:
        return _number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return None


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key).lower()


def _number(value: float) -> Any:
    if math.isfinite(value):
        return plain_number(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _struct(message: Any) -> dict[str, Any]:
    fields = message.fields
    return {key: _value(fields[key]) for key in sorted(fields)}


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "number_value":
        exact = whole_number(message)
        return _number(message.number_value) if exact is None else exact
    if kind == "list_value":
        return [_value(item) for item in message.list_value.values]
    return message.bool_value if kind == "bool_value" else None


def _timestamp(message: Any) -> str:
    return _second(message.seconds) if not message.nanos else message.ToJsonString()


@lru_cache(maxsize=8192)
def _second(seconds: int) -> str:
    """Kept, because the times of a run are few, of whole seconds, and most of what tasks are shown with."""
    return Timestamp(seconds=seconds).ToJsonString()


def _library_writer(message: Message) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


_SPECIAL: dict[str, Writer] = {
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.ListValue": lambda message: [_value(item) for item in message.values],
    "google.protobuf.Empty": lambda message: {},
    "google.protobuf.Timestamp": _timestamp,
}
