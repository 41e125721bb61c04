"""A look at the line of a watch event without decoding most of it: names, marks and status of the Pod.

Why: an executor hears of every Pod of the installation, and decoding one costs more than all that follows from it. Its
specification and the record of who wrote what (`managedFields`) are three quarters of it, and say nothing to whoever
only counts Pods.

Invariants: what is found is what decoding the line would give, or nothing is found. It rests on the order in which API
servers write an object (metadata with its `managedFields` last, then the specification, then the status) and on JSON: a
quote in a text is written with a backslash before it, so `,"status":{` stands for a member of that name, wherever it
is; and a part that decodes to its very end, with as many brackets behind it as there have to be, is at no other depth.
Texts of users (labels, annotations, arguments) can change neither. A line in any other layout is not looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_HEADS = {
    f'{{"type":"{kind}","object":{{"kind":"Pod","apiVersion":"v1","metadata":': kind
    for kind in ("ADDED", "MODIFIED", "DELETED")
}
_LONGEST_HEAD = max(map(len, _HEADS))
_WRITTEN, _SPEC, _STATUS, _END = ',"managedFields":[', ',"spec":{', ',"status":{', "}}"
_NAME, _NAME_WITHIN = b'"name":"', 200
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Skimmed:
    """Of a Pod: the event's type, the metadata without `managedFields`, and the status."""

    kind: str
    metadata: dict[str, Any]
    status: dict[str, Any]


def name_in(line: bytes) -> str:
    """What the object is probably called; empty when that is not where it usually is. Nothing may rest on it."""
    at = line.find(_NAME, 0, _LONGEST_HEAD + _NAME_WITHIN) + len(_NAME)
    return line[at : line.find(b'"', at)].decode(errors="replace") if at >= len(_NAME) else ""


def skim(line: bytes) -> Skimmed | None:
    """None for what is no event of a Pod, or is laid out in another way."""
    try:
        text = line.decode()
        start = text.index('"metadata":', 0, _LONGEST_HEAD) + len('"metadata":')
        kind = _HEADS.get(text[:start])
        if kind is None:
            return None
        written = text.find(_WRITTEN, start)
        if written >= 0:
            head = text[start:written] + "}"
            metadata, end = _decoder.raw_decode(head)
            whole = end == len(head) and text.endswith("]}", written, text.find(_SPEC, written))
        else:
            metadata, end = _decoder.raw_decode(text, start)
            whole = text.startswith(_SPEC, end)
        at = text.rindex(_STATUS, start) + len(_STATUS) - 1
        status, end = _decoder.raw_decode(text, at)
    except ValueError:
        return None
    if not (whole and text[end:] == _END and isinstance(metadata, dict) and isinstance(status, dict)):
        return None
    named = all(isinstance(metadata.get(name), str) for name in ("name", "uid", "resourceVersion"))
    return Skimmed(kind, metadata, status) if named else None
