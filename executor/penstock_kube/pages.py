"""Decodes long lists without blocking the event loop for long.

Why not on a thread: the decoder holds the GIL from its first byte to its last, so a page of 500 Pods (3 MB) blocks the
loop for 37 ms on any thread. Decoded object by object it blocks for 6 ms at a time, 17 ms with the pauses of the cyclic
garbage collector as the executor sets it (its defaults cost 100 ms a page: too much for a server that lists often).

Invariant: a list in another layout than API servers write is decoded as a whole, with the same result.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from penstock_kube.errors import UnavailableError

_SLICE_SECONDS = 0.005
_ITEMS = '"items":['
_decoder = json.JSONDecoder()


async def decode_list(body: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The objects of a List document and its metadata. Raises UnavailableError for what is no such document."""
    try:
        text = body.decode()
        start = text.find(_ITEMS)
        decoded = await _piecewise(text, start + len(_ITEMS)) if start >= 0 else None
        if decoded is None:
            document = json.loads(text)
            decoded = document.get("items") or [], document.get("metadata") or {}
    except (ValueError, AttributeError) as error:
        raise UnavailableError(0, "BadAnswer", f"the list is no JSON document: {error}", ambiguous=False) from error
    return decoded


async def _piecewise(text: str, at: int) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """None unless the text is objects separated by commas, then the end of the document."""
    items: list[dict[str, Any]] = []
    until = time.monotonic() + _SLICE_SECONDS
    try:
        head = json.loads(text[:at] + "]}")
        has_item = text[at : at + 1] == "{"
        while has_item:
            item, at = _decoder.raw_decode(text, at)
            items.append(item)
            has_item = text[at : at + 2] == ",{"
            at += has_item
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE_SECONDS
    except ValueError:
        return None
    if text[at:].strip() != "]}":
        return None
    return items, head.get("metadata") or {}
