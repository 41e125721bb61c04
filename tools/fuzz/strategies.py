"""Strategies for fuzzing: nearly valid documents, texts similar to CEL, JSON of every kind."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st
from penstock_ir.loader import parse_package

from tools.simulate.pipelines import random_spec

_OWN = Path(__file__).resolve().parents[2] / "tests" / "pipelines"
_DOCUMENTS: list[dict[str, Any]] = []

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["", "{{$.inputs.parameters['x']}}", "{{$}}", "\x00", "[" * 50, "1e400", "60s", "x", "t0"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A compiled pipeline, ours or a random one, with up to four changes somewhere in it."""
    if draw(st.booleans()):
        spec = copy.deepcopy(random_spec(Random(draw(st.integers(0, 1_000_000)))))
    else:
        spec = copy.deepcopy(draw(st.sampled_from(_own_documents())))
    for _ in range(draw(st.integers(0, 4))):
        _change(draw, spec)
    return spec


def _change(draw: st.DrawFn, spec: Any) -> None:
    node, key = _somewhere(draw, spec)
    if node is None:
        return
    action = draw(st.sampled_from(["drop", "replace", "swap", "rename"]))
    if action == "drop":
        del node[key]
    elif action == "replace":
        node[key] = draw(junk)
    elif action == "swap":
        other, other_key = _somewhere(draw, spec)
        if other is not None:
            node[key] = copy.deepcopy(other[other_key])
    elif isinstance(node, dict):
        node[draw(st.text(max_size=8))] = node.pop(key)


def _somewhere(draw: st.DrawFn, spec: Any) -> tuple[Any, Any]:
    node, key = None, None
    current = spec
    while isinstance(current, (dict, list)) and current:
        keys = list(current) if isinstance(current, dict) else list(range(len(current)))
        node, key = current, draw(st.sampled_from(keys))
        current = node[key]
        if draw(st.integers(0, 5)) == 0:
            break
    return node, key


def _own_documents() -> list[dict[str, Any]]:
    if not _DOCUMENTS:
        for record in json.loads((_OWN / "index.json").read_text())["pipelines"]:
            document = parse_package((_OWN / record["file"]).read_bytes())
            _DOCUMENTS.append(dict(document.to_struct_json()))
    return _DOCUMENTS


_atoms = st.sampled_from(
    [
        "inputs.parameter_values['x']",
        "inputs.parameter_values['missing']",
        "inputs.parameter_values",
        "inputs.artifacts['a'].artifacts[0].uri",
        "parseJson(string_value)",
        "string_value",
        "null",
        "true",
        "1",
        "1.5",
        "-1u",
        "9223372036854775807",
        "1e308",
        "'text'",
        '"it\'s"',
        "b'bytes'",
        "[]",
        "{}",
        "[1, 'a', null]",
        "{'a': 1}",
        "duration('60s')",
        "timestamp('2020-01-01T00:00:00Z')",
    ]
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "in"])
    function = st.sampled_from(
        ["int", "double", "string", "bool", "size", "parseJson", "type", "uint", "bytes", "nobody"]
    )
    return st.one_of(
        st.tuples(inner, operator, inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda text: f"!({text})"),
        inner.map(lambda text: f"-({text})"),
        st.tuples(function, inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        inner.map(lambda text: f"{text}.field"),
        inner.map(lambda text: f"[{text}].all(e, e == 1)"),
        inner.map(lambda text: f"{text}.matches('(a+)+$')"),
    )


expressions = st.one_of(
    st.recursive(_atoms, _wider, max_leaves=8),
    st.text(max_size=40),
    st.text(alphabet="()[]{}.,'\"!=<>&|?:+-*/%0123456789abinx \\\n", max_size=40),
)
