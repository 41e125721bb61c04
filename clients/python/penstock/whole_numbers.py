"""JSON in messages without loss of digits in integers that google.protobuf.Value, a double, cannot represent.

How: `penstock.v1.WholeNumber` is merged into the Value as an unknown field. Invariants: a message equals that of
`json_format`, except for the numbers that do not fit into a double; digits are ignored if the double is not the nearest
one to them, so that readers of the double and of the digits have the same number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError, Message
from penstock_api.v1 import whole_number_pb2

_MAX_EXACT = 2**53
# From here on JSON writers use exponents.
_EXPONENT_FROM = 10**21
_LISTS = ("google.protobuf.Value", "google.protobuf.ListValue")
_DIGITS = re.compile(rb"-?[0-9]{1,400}")


def parse_dict(document: Mapping[str, Any], message: Message) -> None:
    """Like `json_format.ParseDict`, with the same errors, but integers keep their digits."""
    json_format.ParseDict(dict(document), message)
    if _needs_digits(document):
        _keep_digits(document, message)


def to_dict(message: Message) -> Any:
    """Like `json_format.MessageToDict` with proto field names, but integers keep their digits and maps are sorted."""
    return _restore_digits(json_format.MessageToDict(message, preserving_proto_field_name=True), message)


def whole_number(value: struct_pb2.Value) -> int | None:
    """The integer of a Value that carries its digits, else None."""
    nearest = value.number_value
    if abs(nearest) < _MAX_EXACT:
        return None
    try:
        digits = whole_number_pb2.WholeNumber.FromString(value.SerializeToString()).digits
        exact = int(digits) if _DIGITS.fullmatch(digits) else None
        return exact if exact is not None and float(exact) == nearest else None
    except (DecodeError, OverflowError):
        return None


def _needs_digits(document: Any) -> bool:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif _needs_exact_digits(value):
            return True
    return False


def _needs_exact_digits(value: Any) -> bool:
    """Whether the double alone would be read as another number or written as a float."""
    return (
        isinstance(value, int)
        and abs(value) > _MAX_EXACT
        and (abs(value) >= _EXPONENT_FROM or int(float(value)) != value)
    )


def _keep_digits(document: Any, message: Any) -> None:
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Value":
        if isinstance(document, Mapping):
            _keep_digits(document, message.struct_value)
        elif isinstance(document, list):
            _keep_digits(document, message.list_value)
        elif _needs_exact_digits(document):
            message.MergeFromString(whole_number_pb2.WholeNumber(digits=b"%d" % document).SerializeToString())
    elif kind == "google.protobuf.ListValue" and isinstance(document, list):
        for value, nested in zip(document, message.values, strict=True):
            _keep_digits(value, nested)
    elif not isinstance(document, Mapping):
        return
    elif kind == "google.protobuf.Struct":
        for key, value in document.items():
            _keep_digits(value, message.fields[key])
    else:
        _keep_digits_of_fields(document, message)


def _keep_digits_of_fields(document: Mapping[str, Any], message: Any) -> None:
    fields = message.DESCRIPTOR.fields
    fields_by_name = {**{field.json_name: field for field in fields}, **{field.name: field for field in fields}}
    for name, value in document.items():
        kind: Any = fields_by_name[name].message_type if name in fields_by_name else None
        if kind is None or not isinstance(value, (Mapping, list, int)):
            continue
        nested = getattr(message, fields_by_name[name].name)
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None and isinstance(value, Mapping):
                for key, item in value.items():
                    _keep_digits(item, nested[key])
        elif isinstance(value, list) and kind.full_name not in _LISTS:
            for item, item_message in zip(value, nested, strict=True):
                _keep_digits(item, item_message)
        else:
            _keep_digits(value, nested)


def _restore_digits(document: Any, message: Any) -> Any:
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Struct":
        return {key: _restore_digits(document[key], message.fields[key]) for key in sorted(document)}
    if kind == "google.protobuf.ListValue":
        return [_restore_digits(item, nested) for item, nested in zip(document, message.values, strict=True)]
    if kind == "google.protobuf.Value":
        if isinstance(document, dict):
            return _restore_digits(document, message.struct_value)
        if isinstance(document, list):
            return _restore_digits(document, message.list_value)
        if isinstance(document, float):
            exact = whole_number(message)
            whole = document.is_integer() and abs(document) < _EXPONENT_FROM
            return exact if exact is not None else int(document) if whole else document
        return document
    if not isinstance(document, dict) or kind.startswith("google.protobuf."):
        return document
    return {name: _restore_field(item, getattr(message, name), message, name) for name, item in document.items()}


def _restore_field(document: Any, value: Any, message: Any, name: str) -> Any:
    field = message.DESCRIPTOR.fields_by_name[name]
    kind = field.message_type
    if kind is None:
        return document
    if kind.GetOptions().map_entry:
        nested = kind.fields_by_name["value"].message_type
        keys = sorted(document)
        return {key: document[key] if nested is None else _restore_digits(document[key], value[key]) for key in keys}
    if isinstance(document, list) and kind.full_name not in _LISTS:
        return [_restore_digits(item, item_message) for item, item_message in zip(document, value, strict=True)]
    return _restore_digits(document, value)
