"""Lists are decoded piece by piece, to the same result as a whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_kube.errors import UnavailableError
from penstock_kube.pages import decode_list

_TEXT = st.text(max_size=20) | st.sampled_from(['"items":[', "]}", ",", "\\", '"', "[{"])
_OBJECTS = st.lists(st.dictionaries(_TEXT, _TEXT | st.integers() | st.lists(_TEXT, max_size=3), max_size=4), max_size=6)


# The fixture that a coroutine needs names the kind of its loop; there is nothing in it to be made anew.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=_OBJECTS, version=_TEXT)
async def test_the_same_as_at_once(items: list[dict[str, Any]], version: str) -> None:
    document = {"kind": "PodList", "metadata": {"resourceVersion": version}, "items": items}
    for separators in ((",", ":"), (", ", ": ")):
        assert await decode_list(json.dumps(document, separators=separators).encode()) == (items, document["metadata"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"items":[{"a":1},{"b":2}],"metadata":{"resourceVersion":"5"}}',
        b'{"metadata":{"resourceVersion":"5"},"items":[{"a":1} , {"b":2}]}',
        b'{"metadata":{"resourceVersion":"5"},"items":[{"a":1},{"b":2}]}\n',
    ],
)
async def test_however_it_is_written(body: bytes) -> None:
    assert await decode_list(body) == ([{"a": 1}, {"b": 2}], {"resourceVersion": "5"})


@pytest.mark.parametrize("body", [b'{"items":null}', b"{}", b'{"items":[]}'])
async def test_nothing(body: bytes) -> None:
    assert await decode_list(body) == ([], {})


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"items":[{"a":1}', b'{"items":[{"a":1}{"b":2}]}', b"\xff", b"[]"])
async def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(UnavailableError):
        await decode_list(body)


async def test_others_get_their_turn() -> None:
    """What a list takes is one slice at a time: a task beside it runs before the list is decoded."""
    items = [{"name": "x" * 1000, "of": list(range(300))}] * 3000
    body = json.dumps({"metadata": {}, "items": items}, separators=(",", ":")).encode()

    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(beside())
    await decode_list(body)
    task.cancel()
    assert turns > 3
