"""Conversions that all resources share: times, JSON, list requests (api.md §2.1)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.message import Message
from penstock.whole_numbers import parse_dict, whole_number
from penstock_ir.json_text import MAX_DEPTH, MAX_VALUES, plain_number, within_depth

from penstock_server.domain.listing import ListRequest
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.field_masks import current_mask

_ZERO_TIME = -62_135_596_800
_LAST_TIME = 253_402_300_799


def timestamp(millis: int) -> timestamp_pb2.Timestamp:
    """Truncated to seconds; 0 is the epoch, which clients read as not set."""
    return timestamp_pb2.Timestamp(seconds=millis // 1000)


def millis(time: timestamp_pb2.Timestamp, field: str) -> int:
    """Milliseconds since the epoch; 0 means not set, also for year 1, which is Go's zero time.

    Raises InvalidArgumentError outside of the years 1 to 9999, which no reply could have.
    """
    if not _ZERO_TIME <= time.seconds <= _LAST_TIME or not 0 <= time.nanos < 1_000_000_000:
        raise InvalidArgumentError("it is no time in the years 1 to 9999", field)
    if time.seconds == _ZERO_TIME:
        return 0
    return time.seconds * 1000 + time.nanos // 1_000_000


def struct(document: Mapping[str, Any], around: int = 0) -> struct_pb2.Struct:
    """A JSON object as a Struct. Values that are nested deeper than messages may be are replaced by JSON text.

    `around`: the number of messages around it, besides the reply and an item of its list.
    """
    message = struct_pb2.Struct()
    fill_struct(message, document, around)
    return message


def fill_struct(message: struct_pb2.Struct, document: Mapping[str, Any], around: int = 0) -> None:
    """As `struct`."""
    parse_dict(within_depth(document, max(1, MAX_DEPTH + 1 - around)), message)


def fill_config(message: Message, stored: str) -> None:
    """Fills a RuntimeConfig of either API from its stored text; values as in `struct`."""
    document = json.loads(stored)
    if "parameters" in document:
        document["parameters"] = {
            name: within_depth(value, MAX_DEPTH) for name, value in document["parameters"].items()
        }
    parse_dict(document, message)


def struct_of_text(text: str, around: int = 0) -> struct_pb2.Struct:
    """As `struct`."""
    return struct(json.loads(text), around)


def plain(value: struct_pb2.Value, field: str) -> Any:
    """A Value as JSON: whole numbers are ints, and keys are sorted, because protobuf's maps have no order.

    Raises InvalidArgumentError, which names the field, for NaN and Infinity, and for more than MAX_VALUES values.
    """
    return _Plain(field).value(value)


def plain_struct(message: struct_pb2.Struct, field: str) -> dict[str, Any]:
    """As `plain`."""
    return plain_values(message.fields, field)


def plain_values(values: Mapping[str, struct_pb2.Value], field: str) -> dict[str, Any]:
    """As `plain`."""
    return _Plain(field).values(values)


class _Plain:
    def __init__(self, field: str) -> None:
        self._field = field
        self._left = MAX_VALUES

    def value(self, value: struct_pb2.Value) -> Any:
        self._left -= 1
        if self._left < 0:
            raise InvalidArgumentError(f"it has more than {MAX_VALUES} values", self._field)
        kind = value.WhichOneof("kind")
        if kind == "number_value":
            number = value.number_value
            if not math.isfinite(number):
                raise InvalidArgumentError(f"{number} is no number that JSON has", self._field)
            exact = whole_number(value)
            return plain_number(number) if exact is None else exact
        if kind == "struct_value":
            return self.values(value.struct_value.fields)
        if kind == "list_value":
            return [self.value(item) for item in value.list_value.values]
        if kind in (None, "null_value"):
            return None
        return getattr(value, kind)

    def values(self, values: Mapping[str, struct_pb2.Value]) -> dict[str, Any]:
        return {key: self.value(values[key]) for key in sorted(values)}


def list_request(request: Any) -> ListRequest:
    """The ListRequest of any list method's request."""
    counted = current_mask().wants("total_size")
    return ListRequest(request.page_token, request.page_size, request.sort_by, request.filter, counted)
