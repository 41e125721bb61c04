"""Lists are decoded piece by piece, to the same result as a whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_kube.errors import UnavailableError
from penstock_kube.pages import decode_list

_TEXT = st.text(max_size=20) | st.sampled_from(['"items":[', "]}", ",", "\\", '"', "[{"])
_OBJECTS = st.lists(st.dictionaries(_TEXT, _TEXT | st.integers() | st.lists(_TEXT, max_size=3), max_size=4), max_size=6)


def decoded(body: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return asyncio.run(decode_list(body))


@given(items=_OBJECTS, version=_TEXT)
def test_the_same_as_at_once(items: list[dict[str, Any]], version: str) -> None:
    document = {"kind": "PodList", "metadata": {"resourceVersion": version}, "items": items}
    for separators in ((",", ":"), (", ", ": ")):
        assert decoded(json.dumps(document, separators=separators).encode()) == (items, document["metadata"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"items":[{"a":1},{"b":2}],"metadata":{"resourceVersion":"5"}}',
        b'{"metadata":{"resourceVersion":"5"},"items":[{"a":1} , {"b":2}]}',
        b'{"metadata":{"resourceVersion":"5"},"items":[{"a":1},{"b":2}]}\n',
    ],
)
def test_however_it_is_written(body: bytes) -> None:
    assert decoded(body) == ([{"a": 1}, {"b": 2}], {"resourceVersion": "5"})


@pytest.mark.parametrize("body", [b'{"items":null}', b"{}", b'{"items":[]}'])
def test_nothing(body: bytes) -> None:
    assert decoded(body) == ([], {})


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"items":[{"a":1}', b'{"items":[{"a":1}{"b":2}]}', b"\xff", b"[]"])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(UnavailableError):
        decoded(body)


def test_others_get_their_turn() -> None:
    """What a list takes is one slice at a time: a task beside it runs before the list is decoded."""
    items = [{"name": "x" * 1000, "of": list(range(300))}] * 3000
    body = json.dumps({"metadata": {}, "items": items}, separators=(",", ":")).encode()

    async def main() -> int:
        turns = 0

        async def beside() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(beside())
        await decode_list(body)
        task.cancel()
        return turns

    assert asyncio.run(main()) > 3
