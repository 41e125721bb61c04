"""JSON values as ML Metadata keeps them (executor.md §2.9).

Invariants: the mapping is upstream's, because the web UI reads it: numbers are doubles, booleans 0 or 1, lists and
objects are wrapped in a struct; nulls and numbers that are not finite are left out. Values nested deeper
than protobuf parses (loops collect lists of lists) are written as JSON text, so the store refuses nothing for its
depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from penstock_ir.json_text import MAX_DEPTH, within_depth


def set_value(target: Any, value: Any) -> None:
    """Sets an ml_metadata.Value from a string, an int or a struct-like mapping."""
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int):
        target.int_value = value
    else:
        fill_struct(target.struct_value, value)


def fill_struct(struct: struct_pb2.Struct, document: Mapping[str, Any]) -> None:
    """Numbers that are not finite become nulls, at any depth."""
    json_format.ParseDict(_finite(within_depth(dict(document), MAX_DEPTH + 1)), struct)


def set_metadata(properties: Any, metadata: Mapping[str, Any]) -> None:
    """Artifact metadata as custom properties."""
    for key, value in metadata.items():
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        if isinstance(value, str):
            properties[key].string_value = value
        elif isinstance(value, bool):
            properties[key].int_value = int(value)
        elif isinstance(value, (int, float)):
            properties[key].double_value = float(value)
        elif isinstance(value, list):
            fill_struct(properties[key].struct_value, {"list": value})
        else:
            fill_struct(properties[key].struct_value, {"struct": value})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
