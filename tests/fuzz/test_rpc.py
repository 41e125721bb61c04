"""Whatever a caller sends, a call is answered or refused in words: never INTERNAL, never a trace, never SQL.

`FUZZ_EXAMPLES` sets how many messages each method gets.
"""

from __future__ import annotations

import os
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_server.rpc.server import SERVICES

from tests.fuzz.messages import messages
from tools.embedded import Embedded

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for service in map(descriptor_pool.Default().FindServiceByName, SERVICES)
    for method in service.methods
    if not method.client_streaming
}
UNFORESEEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE)
LEAKS = ("Traceback", "sqlalchemy", "SELECT ", "site-packages", "Exception")


@pytest.mark.parametrize("path", METHODS)
def test_any_message(up: Embedded, path: str) -> None:
    method = METHODS[path]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == 25, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: Any) -> None:
        message = data.draw(messages(method.input_type))
        if path.endswith("/ClaimRuns"):
            message.wait_millis = 0
            message.max_runs = 1
        if path.endswith("/ReadLog"):
            message.follow = False
        with grpc.insecure_channel(up.grpc) as channel:
            reply = message_factory.GetMessageClass(method.output_type)
            kind = channel.unary_stream if method.server_streaming else channel.unary_unary
            call = kind(path, type(message).SerializeToString, reply.FromString)
            try:
                answer = call(message, timeout=20)
                if method.server_streaming:
                    list(answer)
            except grpc.RpcError as error:
                assert error.code() not in UNFORESEEN, f"{error.code()}: {error.details()}"
                assert not any(leak in (error.details() or "") for leak in LEAKS), error.details()

    check()
