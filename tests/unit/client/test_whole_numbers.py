"""Integers in messages that a double cannot represent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from penstock.whole_numbers import parse_dict, whole_number
from penstock.whole_numbers import to_dict as client_to_dict
from penstock_api.v1 import whole_number_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.protojson import to_dict
from penstock_server.rpc.convert.common import plain_struct

BIG = 2**53 + 1
VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(min_value=-(10**30), max_value=10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_documents_come_back_over_the_wire(document: dict[str, Any]) -> None:
    message = struct_pb2.Struct()
    parse_dict(document, message)
    received = struct_pb2.Struct.FromString(message.SerializeToString(deterministic=True))
    wanted = json.dumps(document, sort_keys=True)
    assert json.dumps(plain_struct(received, ""), sort_keys=True) == wanted
    assert json.dumps(to_dict(received), sort_keys=True) == wanted
    assert json.dumps(client_to_dict(received)) == wanted


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_whoever_does_not_know_reads_the_nearest_double(document: dict[str, Any]) -> None:
    message, wanted = struct_pb2.Struct(), struct_pb2.Struct()
    parse_dict(document, message)
    json_format.ParseDict(document, wanted)
    assert json_format.MessageToDict(message) == json_format.MessageToDict(wanted)


def test_only_what_does_not_fit_is_more_than_a_double() -> None:
    message, wanted = struct_pb2.Struct(), struct_pb2.Struct()
    fitting = {"a": [2**53, 1732752 * 10**12, 0.1, {"b": -(2**60)}]}
    parse_dict(fitting, message)
    json_format.ParseDict(fitting, wanted)
    assert message.SerializeToString() == wanted.SerializeToString()


def test_in_every_field_that_can_hold_values() -> None:
    request = run_pb2.CreateRunRequest()
    document = {
        "run": {
            "display_name": "r",
            "pipelineSpec": {"deep": [[{"n": BIG}]], "none": None},
            "runtime_config": {"parameters": {"n": BIG, "l": [BIG, None], "s": {"x": -BIG}, "none": None}},
            "plugins_input": {"p": {"n": [BIG]}},
            "created_at": "2026-01-01T00:00:00Z",
        }
    }
    parse_dict(document, request)
    found = to_dict(run_pb2.CreateRunRequest.FromString(request.SerializeToString()))["run"]
    assert client_to_dict(request) == {"run": found}
    assert found["pipeline_spec"] == document["run"]["pipelineSpec"]
    assert found["runtime_config"] == document["run"]["runtime_config"]
    assert found["plugins_input"] == document["run"]["plugins_input"]


@pytest.mark.parametrize(
    "digits", [b"9007199254740999", b"-9007199254740993", b"1", b"", b"9_007_199_254_740_993", b"\xff", b"9" * 5_000]
)
def test_digits_of_another_number_do_not_count(digits: bytes) -> None:
    value = struct_pb2.Value(number_value=float(BIG))
    value.MergeFromString(whole_number_pb2.WholeNumber(digits=digits).SerializeToString())
    assert whole_number(value) is None
    small = struct_pb2.Value(number_value=1)
    small.MergeFromString(whole_number_pb2.WholeNumber(digits=b"1").SerializeToString())
    assert whole_number(small) is None


def test_numbers_that_are_none_are_the_callers_mistake() -> None:
    with pytest.raises((json_format.ParseError, OverflowError)):
        parse_dict({"n": 10**400}, struct_pb2.Struct())
