"""The scenario from Python, three ways."""

from __future__ import annotations

import grpc
from penstock.client import Client

from tests.clients import python_clients, scenario
from tests.clients.walk import Call, walk
from tools.embedded import Embedded


def _walk(name: str, package_url: str, call: Call) -> None:
    steps = scenario.steps()
    assert walk(steps, {"client": name, "package_url": package_url}, call) >= len(steps)


def test_generated_stubs(open_server: Embedded, package_url: str) -> None:
    with Client(open_server.grpc) as client:
        _walk("python", package_url, python_clients.generated(client, "python"))


def test_reflection(open_server: Embedded, package_url: str) -> None:
    with grpc.insecure_channel(open_server.grpc) as channel:
        _walk("grpc", package_url, python_clients.by_reflection(channel, "grpc"))


def test_rest(open_server: Embedded, package_url: str) -> None:
    _walk("rest", package_url, python_clients.rest(open_server.http, "rest"))
