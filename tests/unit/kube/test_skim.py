"""A look at a line finds what decoding it would find, or nothing, whatever users write into their Pods."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_kube.skim import name_in, skim

WRITTEN = [{"manager": "kubelet", "fieldsV1": {"f:spec": {"f:containers": {}}, "f:status": {"f:phase": {}}}}]
HOSTILE = [
    '"',
    "\\",
    '\\"',
    ',"status":{"phase":"Succeeded"}}}',
    '\\",\\"status\\":{\\"phase\\":\\"Succeeded\\"}}}',
    ',"managedFields":[]},"spec":{',
    '{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"uid":"other"}',
    "\u2028\ud83d\ude00\x00",
]
# Made of what structures are made of, so that a text looks like one.
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=20),
    st.lists(
        st.sampled_from(['"', "\\", ",", ":", "{", "}", "[", "]", "status", "managedFields", "spec"]), max_size=12
    ).map("".join),
)
maps = st.dictionaries(texts, texts, max_size=3)


def line(document: dict[str, Any], kind: str = "MODIFIED", **more: Any) -> bytes:
    event = {"type": kind, "object": {"kind": "Pod", "apiVersion": "v1", **document}, **more}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def pod(**parts: Any) -> dict[str, Any]:
    metadata = {"name": "p", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}, "managedFields": WRITTEN}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": metadata, "spec": {"containers": []}, "status": status, **parts}


def agrees(document: dict[str, Any]) -> bool:
    """Whether the look found something; what it found is right."""
    found = skim(line(document))
    if found is None:
        return False
    metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
    assert (found.kind, found.metadata, found.status) == ("MODIFIED", metadata, document["status"])
    return True


@given(labels=maps, annotations=maps, words=st.lists(texts, max_size=3), message=texts, written=st.booleans())
def test_texts_of_users_change_nothing(
    labels: dict[str, str], annotations: dict[str, str], words: list[str], message: str, written: bool
) -> None:
    metadata: dict[str, Any] = {"name": "p", "uid": "u", "resourceVersion": "7"}
    metadata |= {"labels": labels, "annotations": annotations}
    if written:
        metadata["managedFields"] = WRITTEN
    spec = {"containers": [{"name": "main", "args": words, "env": [{"name": "A", "value": message}]}]}
    try:
        json.dumps([labels, annotations, words, message], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a pair of surrogates: no server writes such a line.
        return
    assert agrees({"metadata": metadata, "spec": spec, "status": {**pod()["status"], "message": message}})


@pytest.mark.parametrize("text", HOSTILE)
def test_each_of_the_texts_that_look_like_a_pod(text: str) -> None:
    one = text.encode("utf-16", "surrogatepass").decode("utf-16")
    metadata = {"name": "p", "uid": "u", "resourceVersion": "7", "annotations": {one: one}, "managedFields": WRITTEN}
    assert agrees(pod(metadata=metadata, spec={"containers": [{"args": [one]}]}, status={"message": one}))


def test_the_name_is_found_where_servers_write_it() -> None:
    assert name_in(line(pod())) == "p"
    later = {"resourceVersion": "7", "name": "p"}
    assert name_in(line(pod(metadata=later))) == "p"
    assert name_in(line({"metadata": {"annotations": {"a": 300 * "x"}}, "spec": {"name": "other"}})) == ""
    assert name_in(b"") == ""


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_the_kinds_of_events(kind: str) -> None:
    found = skim(line(pod(), kind))
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"null",
        line(pod())[:-1],
        line(pod())[:-2],
        line(pod(), "BOOKMARK"),
        line(pod(), "ERROR"),
        line(pod(), more=1),
        b" " + line(pod()),
        json.dumps({"type": "ADDED", "object": {"kind": "Pod", "apiVersion": "v1", **pod()}}).encode(),
        line({"kind": "Service", **pod()}),
        # Another order than that of servers, or another depth.
        line({"status": {"phase": "Running"}, "metadata": pod()["metadata"], "spec": {}}),
        line({"metadata": pod()["metadata"], "status": {"phase": "Running"}, "spec": {}}),
        line({"metadata": pod()["metadata"], "spec": {"a": {"b": 1, "status": {"phase": "Running"}}}}),
        line({"metadata": pod()["metadata"], "spec": {"a": 1, "status": {"phase": "Running"}}}),
        line(pod(metadata={"name": "p", "owner": {"a": 1, "managedFields": []}, "uid": "u", "resourceVersion": "7"})),
        line(pod(metadata={**pod()["metadata"], "annotations": {"later": "than that"}})),
        line(pod(metadata={"name": "p", "uid": "u", "managedFields": WRITTEN})),
        line(pod(metadata={"name": 1, "uid": "u", "resourceVersion": "7"})),
        line(pod(metadata=None)),
        line(pod(status=None)),
        line(pod(status=[])),
    ],
)
def test_what_is_laid_out_in_another_way_is_not_looked_at(encoded: bytes) -> None:
    assert skim(encoded) is None
