"""Every call as everybody, against a live server on SQLite and on PostgreSQL: what docs/authorization.md says is so.

A refused call is sent first, with the very request that somebody with the right sends next: it has then changed
nothing. A call counts as let through only when its handler answered as it should.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from penstock_api.internal.v1 import dispatch_pb2
from penstock_server.access import rules
from penstock_server.rpc.server import web_methods

from tests.support.http_requests import OTHERS, RPCS, passing_status, send, send_route, send_web, status_of_route
from tests.support.metadata_requests import is_of, nodes_of
from tests.support.requests_of_all import INSIGHT, passes, request
from tests.support.routes import routes
from tests.support.two_teams import METHODS, OK, STORE, A, B, TwoTeams, called
from tools import authorization_table
from tools.authorization_table import ALLOWED, DENIED, UNKNOWN, outcome

TEAM = ("viewer", "editor", "admin")
# Neither is anybody to the public ports: docs/authorization.md says so in its introduction.
UNKNOWN_HERE = ("agent", "executor")
CALLERS = (*authorization_table.CALLERS, *UNKNOWN_HERE)
REFUSALS = {"UNAUTHENTICATED": UNKNOWN, "PERMISSION_DENIED": DENIED, "401": UNKNOWN, "403": DENIED}
Send = Callable[[Message, str], str]
"""Sends a request as a caller and returns the code, or HTTP status, of the reply."""


def expected(path: str, callers: tuple[str, ...] = CALLERS) -> dict[str, str]:
    return {caller: outcome(path, "nobody" if caller in UNKNOWN_HERE else caller) for caller in callers}


def observed(
    path: str, made: Callable[[str], Message], send: Send, passing: str, outcomes: dict[str, str]
) -> dict[str, str]:
    """What became of the call for everybody: those who are to be refused first."""
    refused = [caller for caller, what in outcomes.items() if what != ALLOWED]
    allowed = [caller for caller, what in outcomes.items() if what == ALLOWED]
    message = made(allowed[0])
    found = {}
    for caller in (*refused, *allowed):
        if caller in allowed[1:]:
            message = made(caller)
        code = send(message, caller)
        found[caller] = ALLOWED if code == passing else REFUSALS.get(code, f"{path}: {code}")
    return found


@pytest.mark.parametrize("path", METHODS)
def test_method(teams: TwoTeams, path: str) -> None:
    outcomes = expected(path)

    def send(message: Message, caller: str) -> str:
        return teams.call(path, message, caller).code

    assert observed(path, lambda caller: request(teams, path, A, caller), send, passes(path), outcomes) == outcomes


@pytest.mark.parametrize("path", METHODS)
def test_method_on_what_is_another_teams(teams: TwoTeams, path: str) -> None:
    """Whoever has a role in team-a is a stranger in team-b."""
    for caller in TEAM:
        answer = teams.call(path, request(teams, path, B, caller), caller)
        wanted = outcome(path, "stranger")
        assert REFUSALS.get(answer.code, ALLOWED) == wanted, answer
        if wanted == ALLOWED:
            assert answer.code == passes(path)
        if path.startswith(STORE):
            shown = [node for reply in answer.replies for node in nodes_of(reply)]
            assert not [node for node in shown if is_of(teams.places[B].lineage, node)]


@pytest.mark.parametrize("path", [path for path in METHODS if path.startswith(f"{STORE}/Get")])
def test_lineage_is_shown_to_those_who_may_see_its_run(teams: TwoTeams, path: str) -> None:
    message = request(teams, path, A, "viewer")
    shown = {
        caller: sorted(
            str(node)
            for reply in teams.call(path, message, caller).replies
            for node in nodes_of(reply)
            if is_of(teams.places[A].lineage, node)
        )
        for caller in ("administrator", "viewer", "stranger")
    }
    assert shown["stranger"] == []
    assert shown["viewer"] == shown["administrator"]
    shows_types = "Type" in path.replace("ByType", "") or passes(path) != OK
    assert bool(shown["viewer"]) is not shows_types


@pytest.mark.parametrize(("verb", "route"), routes())
def test_route(teams: TwoTeams, verb: str, route: str) -> None:
    rpc = RPCS.get((verb, route))
    if rpc is not None:
        path, outcomes = rpc, expected(rpc)

        def send_annotated(message: Message, caller: str) -> str:
            return send(teams, path, message, caller)

        made = observed(
            path, lambda caller: request(teams, path, A, caller), send_annotated, passing_status(rpc), outcomes
        )
        assert made == outcomes
        return
    other = OTHERS[verb, route]
    outcomes = expected(other) if other else dict.fromkeys(CALLERS, ALLOWED)
    found = {}
    for caller in CALLERS:
        status = send_route(teams, (verb, route), teams.places[A], caller)
        found[caller] = ALLOWED if status == status_of_route(route) else REFUSALS.get(status, status)
    assert found == outcomes


@pytest.mark.parametrize(("verb", "route"), routes())
def test_route_is_the_same_below_pipeline_and_for_what_is_another_teams(teams: TwoTeams, verb: str, route: str) -> None:
    rpc = RPCS.get((verb, route)) or OTHERS[verb, route]
    if rpc:
        for prefix, caller in (("/pipeline", "nobody"), ("/pipeline", "stranger"), ("", "admin")):
            wanted = outcome(rpc, "nobody" if caller == "nobody" else "stranger")
            if (verb, route) in RPCS:
                message = request(teams, rpc, B, caller if caller != "nobody" else "stranger")
                status = send(teams, rpc, message, caller, prefix)
            else:
                status = send_route(teams, (verb, route), teams.places[B], caller, prefix)
            assert REFUSALS.get(status, ALLOWED) == wanted, (prefix, caller)


WEB = {METHODS[path].containing_service.full_name: path for path in reversed(METHODS) if path in web_methods()}


@pytest.mark.parametrize("path", [*WEB.values(), f"{STORE}/GetLineageSubgraph", f"{INSIGHT}/ReadLog"])
def test_method_from_a_browser(teams: TwoTeams, path: str) -> None:
    def send_framed(message: Message, caller: str) -> str:
        return send_web(teams, path, message, caller)

    outcomes = expected(path)
    found = observed(path, lambda caller: request(teams, path, A, caller), send_framed, passes(path), outcomes)
    assert found == outcomes


def test_routes_are_those_of_the_page() -> None:
    assert set(routes()) == set(OTHERS) | set(RPCS)


HEALTH = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch")
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def test_infrastructure_is_what_the_rules_say() -> None:
    assert {path for path in rules.RULES if path not in METHODS} == {*HEALTH, REFLECTION}


@pytest.mark.parametrize("path", [*HEALTH, REFLECTION])
def test_infrastructure(teams: TwoTeams, path: str) -> None:
    found = {}
    for caller in CALLERS:
        metadata = tuple((name.lower(), value) for name, value in teams.credentials[caller].items())
        try:
            if path == REFLECTION:
                asked = reflection_pb2.ServerReflectionRequest(list_services="")
                stub = reflection_pb2_grpc.ServerReflectionStub(teams.channel)
                (reply,) = stub.ServerReflectionInfo(iter([asked]), metadata=metadata, timeout=30)
                names = {one.name for one in reply.list_services_response.service}
                assert names >= {METHODS[one].containing_service.full_name for one in METHODS}
                assert not [name for name in names if "internal" in name]
            else:
                health = health_pb2_grpc.HealthStub(teams.channel)
                checked = health_pb2.HealthCheckRequest()
                if path.endswith("Check"):
                    status = health.Check(checked, metadata=metadata, timeout=30).status
                else:
                    stream = health.Watch(checked, metadata=metadata, timeout=30)
                    status = next(stream).status
                    stream.cancel()
                assert status == health_pb2.HealthCheckResponse.SERVING
            found[caller] = ALLOWED
        except grpc.RpcError as error:
            found[caller] = REFUSALS[cast(grpc.Call, error).code().name]
    assert found == expected(path)


DISPATCH = dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"]
ANSWERS = dict.fromkeys(("ClaimRuns", "Heartbeat", "ReportTransitions", "TakeSlots"), "INVALID_ARGUMENT")
"""What the handlers say to an empty request, where it is not OK."""


@pytest.mark.parametrize("name", [method.name for method in DISPATCH.methods])
def test_dispatch(teams: TwoTeams, name: str) -> None:
    method = DISPATCH.methods_by_name[name]
    message = message_factory.GetMessageClass(method.input_type)()
    found, public, web = {}, {}, {}
    with grpc.insecure_channel(teams.servers.dispatch[0]) as channel:
        for caller in CALLERS:
            metadata = tuple((key.lower(), value) for key, value in teams.credentials[caller].items())
            found[caller] = called(channel, method, message, metadata).code
            public[caller] = called(teams.channel, method, message, metadata).code
            web[caller] = send_web(teams, f"/{DISPATCH.full_name}/{name}", message, caller)
    wanted = dict.fromkeys(CALLERS, "UNAUTHENTICATED") | {"executor": ANSWERS.get(name, OK)}
    assert found == wanted
    assert public == dict.fromkeys(CALLERS, "UNAVAILABLE")
    assert web == dict.fromkeys(CALLERS, "404")


@pytest.mark.parametrize("path", [path for path in METHODS if path.startswith(STORE)])
def test_lineage_on_the_port_of_executors(teams: TwoTeams, path: str) -> None:
    """Executors read and write all of it; nobody else has it there."""
    message = request(teams, path, A, "administrator")
    with grpc.insecure_channel(teams.servers.dispatch[0]) as channel:
        found = {caller: teams.call(path, message, caller, channel=channel).code for caller in CALLERS}
    assert found == dict.fromkeys(CALLERS, "UNAUTHENTICATED") | {"executor": passes(path)}
