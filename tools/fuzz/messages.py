"""Generates messages of any type with random content, for calls that must be answered or refused with a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import message_factory, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

_FILTERS = (
    '{"predicates": []}',
    '{"predicates": [{"operation": 1}]}',
    '{"predicates": [{"operation": "IN", "key": "name", "string_values": {"values": ["a"]}}]}',
    '{"predicates": [{"operation": "EQUALS", "key": "created_at", "string_value": "1e999"}]}',
    '{"predicates": [{"operation": "GREATER_THAN", "key": "created_at", "timestamp_value": "9999-12-31T23:59:59Z"}]}',
)
_HOSTILE = ("", "../../etc/passwd", "x' OR '1'='1", "%", "\x00", "\u202e", "💥" * 50, "a" * 5000, "file:///etc/passwd")
_KNOWN = ("Default", "created_at desc", "name", "state asc", "tags.x", "0 * * * * *", "https://127.0.0.1/x")
_TOKENS = ("eyJhIjoxfQ==", "bm90IGpzb24=")
_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from((*_FILTERS, *_HOSTILE, *_KNOWN, *_TOKENS)))
_NUMBERS = st.one_of(st.integers(-5, 5), st.sampled_from([2**31 - 1, -(2**31), 20, 200, 201]))
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Any:
    """A message of the type, some of its fields set."""
    message = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if draw(st.integers(0, 2)) == 0:
            _set(draw, message, field, depth)
    return message


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value_type = field.message_type.fields_by_name["value"]
        for _ in range(draw(st.integers(0, 2))):
            key = draw(_TEXTS) if field.message_type.fields_by_name["key"].type == field.TYPE_STRING else 1
            if value_type.message_type is not None:
                getattr(message, field.name)[key].CopyFrom(draw(_any(value_type.message_type, depth)))
            else:
                getattr(message, field.name)[key] = draw(_scalar(value_type))
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, 2))):
            target = getattr(message, field.name)
            if field.message_type is not None:
                target.add().CopyFrom(draw(_any(field.message_type, depth)))
            else:
                target.append(draw(_scalar(field)))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(draw(_any(field.message_type, depth)))
    else:
        setattr(message, field.name, draw(_scalar(field)))


def _any(descriptor: Descriptor, depth: int) -> st.SearchStrategy[Any]:
    name = descriptor.full_name
    if name == "google.protobuf.Struct":
        return st.dictionaries(_TEXTS, _JSON, max_size=3).map(_struct).map(_of_type(descriptor))
    if name == "google.protobuf.Value":
        return _JSON.map(_value).map(_of_type(descriptor))
    if name == "google.protobuf.Timestamp":
        return st.tuples(st.sampled_from([0, 1, -1, 2**33, 253402300799, 2**62]), st.sampled_from([0, -1, 10**9])).map(
            lambda pair: _of_type(descriptor)(timestamp_pb2.Timestamp(seconds=pair[0], nanos=pair[1]))
        )
    if depth > 3:
        return st.just(message_factory.GetMessageClass(descriptor)())
    return messages(descriptor, depth + 1)


def _of_type(descriptor: Descriptor) -> Callable[[Any], Any]:
    """The same message as one of the descriptor's pool, which may not be the default one."""
    return lambda message: message_factory.GetMessageClass(descriptor).FromString(message.SerializeToString())


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    for key, value in values.items():
        found.fields[key].CopyFrom(_value(value))
    return found


def _value(value: Any) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, list):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_value(one) for one in value]))
    return struct_pb2.Value(struct_value=_struct(value))


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == field.TYPE_STRING:
        return _TEXTS
    if field.type == field.TYPE_BYTES:
        return st.binary(max_size=30)
    if field.type == field.TYPE_BOOL:
        return st.booleans()
    if field.type in (field.TYPE_UINT32, field.TYPE_UINT64, field.TYPE_FIXED32, field.TYPE_FIXED64):
        return _NUMBERS.map(abs)
    return _NUMBERS
