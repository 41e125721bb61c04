"""The gateway's protojson next to the library's, on messages of every reply with anything in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, struct_pb2
from hypothesis import HealthCheck, given, settings
from penstock_server.gateway.protojson import to_dict
from penstock_server.rpc.server import SERVICES

from tools.fuzz.messages import messages

REPLIES = sorted(
    {
        method.output_type.full_name
        for service in map(descriptor_pool.Default().FindServiceByName, SERVICES)
        for method in service.methods
    }
)


@pytest.mark.parametrize("name", REPLIES)
def test_the_library_says_the_same(name: str) -> None:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(name)

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(message=messages(descriptor))
    def check(message: Any) -> None:
        try:
            wanted = json_format.MessageToDict(message, preserving_proto_field_name=True)
        except (json_format.SerializeToJsonError, TypeError):
            # NaN in a Value, times beyond the calendar, an Any of a type that nobody knows.
            return
        assert json.loads(json.dumps(to_dict(message))) == wanted

    check()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3.0, "3"),
        (0.5, "0.5"),
        (-0.0, "0"),
        (2.0**53, "9007199254740992"),
        (1732752e12, "1732752000000000000"),
        (-1e20, "-100000000000000000000"),
        (1e21, "1e+21"),
        (1e300, "1e+300"),
        (float("nan"), '"NaN"'),
    ],
)
def test_whole_numbers_have_no_fraction(number: float, text: str) -> None:
    assert json.dumps(to_dict(struct_pb2.Value(number_value=number))) == text
