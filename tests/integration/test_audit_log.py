"""The audit log of a live server: a line for every deed and for every refused call, and none for what failed.

Lines are found by the id of the request, so they are those of this very call. Which calls are deeds, and which can be
refused, follows from the rules of access; that no deed is missing, from the rows of the databases before and after
every call there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message
from penstock_api.internal.v1 import dispatch_pb2
from penstock_api.v1 import access_pb2, insight_pb2
from penstock_api.v1beta1 import auth_pb2
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_server.access import rules
from penstock_server.domain.location import ObjectKind
from penstock_server.domain.task import Artifact
from penstock_server.telemetry import Denial, Port
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, create_engine, inspect, literal_column, select, table, text

from tests.support.http import call
from tests.support.requests_of_all import INSIGHT, passes, request
from tests.support.two_teams import (
    ACCESS,
    METHODS,
    OK,
    PIPELINE,
    STORE,
    UPLOADS,
    V2,
    A,
    B,
    TwoTeams,
    called,
    new,
    token_request,
)
from tools.authorization_table import DENIED, outcome

READS = ("get", "list", "readArtifact")
TOKENS = {f"{ACCESS}/CreateToken": ("tokens", "create"), f"{ACCESS}/RevokeToken": ("tokens", "delete")}


def right_of(path: str) -> tuple[str, str]:
    """Resource and verb of a method; empty for what needs no right."""
    rule = rules.rule_of(path)
    return TOKENS.get(path) or ((rule[0].resource, rule[0].verb) if isinstance(rule, tuple) else ("", ""))


WRITES = [path for path in METHODS if right_of(path)[1] not in ("", *READS)]
DEEDS = [path for path in WRITES if passes(path) == OK]
# The metadata store is a database of its own, in which no line and deed can be one transaction: lines come first.
INTENTS = [path for path in DEEDS if path.startswith(STORE)]
# These make a pipeline and its first version: a line for each.
TWO = (f"{V2}.PipelineService/CreatePipelineAndVersion", f"{UPLOADS}/UploadPipeline")
_IDS = (
    "pipeline_version_id", "version_id", "run_id", "recurring_run_id", "pipeline_id", "experiment_id",
    "role_binding_id", "token_id", "runId", "id",
)  # fmt: skip


def id_of(message: Any) -> str:
    """The id of what a message is about; empty when it has none."""
    one = getattr(message, "token", message)
    return next((getattr(one, name) for name in _IDS if getattr(one, name, "")), "")


def lines_of(teams: TwoTeams, request_id: str) -> list[access_pb2.AuditEvent]:
    newest = access_pb2.ListAuditEventsRequest(page_size=200)
    events = teams.done(f"{ACCESS}/ListAuditEvents", newest).audit_events
    return [event for event in events if event.request_id == request_id]


@pytest.fixture(scope="module")
def stores(teams: TwoTeams) -> Iterator[list[Engine]]:
    """Penstock's own database and ML Metadata's."""
    own = teams.database.engine
    with ExitStack() as stack:
        metadata = create_engine(teams.metadata_url)
        stack.callback(metadata.dispose)
        yield [own, metadata]


def content(stores: list[Engine]) -> set[tuple[Any, ...]]:
    """All rows of all tables, but for the audit log, and for when a token was used last."""
    found: set[tuple[Any, ...]] = set()
    for number, engine in enumerate(stores):
        with engine.connect() as connection:
            for name in inspect(connection).get_table_names():
                if name == "audit_events":
                    continue
                rows = connection.execute(select(literal_column("*")).select_from(table(name))).mappings()
                found |= {(number, name, *(repr(row[key]) for key in row if key != "last_used_at")) for row in rows}
    return found


@pytest.mark.parametrize("path", [path for path in METHODS if path not in DEEDS])
def test_what_is_no_deed_changes_nothing(teams: TwoTeams, stores: list[Engine], path: str) -> None:
    message = request(teams, path, A, "administrator")
    before = content(stores)
    assert teams.call(path, message, "administrator").code == passes(path)
    assert content(stores) == before


@pytest.mark.parametrize("path", INTENTS)
def test_a_deed_in_ml_metadata_has_its_line(teams: TwoTeams, path: str) -> None:
    message: Any = request(teams, path, A, "administrator")
    request_id = new()
    assert teams.call(path, message, "administrator", request_id=request_id).code == OK
    (line,) = lines_of(teams, request_id)
    assert (line.resource, line.verb, line.namespace) == ("metadata", "update", "")
    assert (line.user, line.source, line.method) == ("administrator", "token", path)
    assert line.result == "UNKNOWN" and "ML Metadata knows" in line.reason
    named = [one.name for one in nodes_and_types(message) if one.name]
    assert not named or named[0] in line.object_name


def nodes_and_types(message: Any) -> list[Any]:
    """What a request writes that has a name, in the order of its fields."""
    listed = [value for field, value in message.ListFields() if field.message_type is not None]
    several = [one for value in listed for one in (value if hasattr(value, "__len__") else [value])]
    return [one for one in several if "name" in one.DESCRIPTOR.fields_by_name]


def test_nothing_is_written_into_ml_metadata_without_its_line(teams: TwoTeams, stores: list[Engine]) -> None:
    path = f"{STORE}/PutContexts"
    with stores[0].connect() as connection:
        before = content(stores[1:])
        connection.execute(text("ALTER TABLE audit_events RENAME TO audit_events_away"))
        connection.commit()
        try:
            answer = teams.call(path, request(teams, path, A, "administrator"), "administrator")
        finally:
            connection.execute(text("ALTER TABLE audit_events_away RENAME TO audit_events"))
            connection.commit()
    assert answer.code != OK
    assert content(stores[1:]) == before


@pytest.mark.parametrize("path", [path for path in DEEDS if path not in INTENTS])
def test_a_deed_has_its_line(teams: TwoTeams, path: str) -> None:
    message = request(teams, path, A, "admin")
    request_id = new()
    answer = teams.call(path, message, "admin", request_id=request_id)
    assert answer.code == OK
    identifier = id_of(answer.replies[0]) or id_of(message)
    identifiers = [identifier]
    if path in TWO:
        listed = pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=identifier)
        versions = teams.done(f"{V2}.PipelineService/ListPipelineVersions", listed).pipeline_versions
        identifiers += [one.pipeline_version_id for one in versions]
    found = lines_of(teams, request_id)
    assert [line.object_id for line in reversed(found)] == identifiers
    for line in found:
        assert (line.resource, line.verb) == right_of(path)
        # A token is a user's, wherever it may be used.
        assert line.namespace == ("" if path in TOKENS else A)
        assert (line.user, line.source, line.address) == ("admin", "kubeflow", "127.0.0.1")
        assert (line.method, line.result, line.reason) == (path, OK, "")
        assert line.object_name


def test_a_deed_over_http_has_its_line(teams: TwoTeams) -> None:
    request_id = new()
    headers = {**teams.credentials["editor"], "kubeflow-groups": "builders, testers", "X-Request-Id": request_id}
    document = {"display_name": new(), "namespace": A}
    reply = call("POST", f"{teams.http}/apis/v2beta1/experiments", document, headers=headers)
    (line,) = lines_of(teams, request_id)
    assert (line.object_id, line.object_name) == (reply.json["experiment_id"], document["display_name"])
    assert (line.user, list(line.groups), line.verb) == ("editor", ["builders", "testers"], "create")


_DELETES: dict[ObjectKind, tuple[str, Callable[[str], Message]]] = {
    ObjectKind.EXPERIMENT: (
        f"{V2}.ExperimentService/DeleteExperiment",
        lambda one: experiment_pb2.DeleteExperimentRequest(experiment_id=one),
    ),
    ObjectKind.RUN: (f"{V2}.RunService/DeleteRun", lambda one: run_pb2.DeleteRunRequest(run_id=one)),
    ObjectKind.RECURRING_RUN: (
        f"{V2}.RecurringRunService/DeleteRecurringRun",
        lambda one: recurring_run_pb2.DeleteRecurringRunRequest(recurring_run_id=one),
    ),
    ObjectKind.PIPELINE: (
        f"{V2}.PipelineService/DeletePipeline",
        lambda one: pipeline_pb2.DeletePipelineRequest(pipeline_id=one),
    ),
    ObjectKind.PIPELINE_VERSION: (
        f"{V2}.PipelineService/DeletePipelineVersion",
        lambda one: pipeline_pb2.DeletePipelineVersionRequest(pipeline_version_id=one),
    ),
    ObjectKind.ROLE_BINDING: (
        f"{ACCESS}/DeleteRoleBinding",
        lambda one: access_pb2.DeleteRoleBindingRequest(role_binding_id=one),
    ),
}
# What makes something: a field of the request, and what it cannot be.
_WRONG: dict[str, tuple[str, Any]] = {
    f"{V2}.ExperimentService/CreateExperiment": ("experiment.display_name", ""),
    f"{V2}.PipelineService/CreatePipeline": ("pipeline.name", "x" * 300),
    f"{V2}.PipelineService/CreatePipelineAndVersion": ("pipeline.name", "x" * 300),
    f"{V2}.PipelineService/CreatePipelineVersion": ("pipeline_version.package_url.pipeline_url", ""),
    f"{V2}.RunService/CreateRun": ("run.display_name", ""),
    f"{V2}.RecurringRunService/CreateRecurringRun": ("recurring_run.max_concurrency", 0),
    f"{UPLOADS}/UploadPipeline": ("content", b"none"),
    f"{UPLOADS}/UploadPipelineVersion": ("content", b"none"),
    f"{ACCESS}/CreateToken": ("name", ""),
    f"{ACCESS}/RevokeToken": ("token_id", "nobody"),
    f"{ACCESS}/CreateRoleBinding": ("role_binding.role", "owner"),
    "/penstock.v1.PoolService/PutPool": ("pool.name", ""),
    "/penstock.v1.PoolService/DeletePool": ("name", "nothing"),
    "/api.ExperimentService/CreateExperimentV1": ("experiment.name", ""),
    "/api.TaskService/CreateTaskV1": ("task.fingerprint", ""),
}


@pytest.mark.parametrize("path", [path for path in WRITES if not path.startswith(STORE)])
def test_what_fails_has_no_line(teams: TwoTeams, path: str) -> None:
    message: Any = request(teams, path, A, "admin")
    if path in _WRONG:
        *parents, name = _WRONG[path][0].split(".")
        target = message
        for parent in parents:
            target = getattr(target, parent)
        setattr(target, name, _WRONG[path][1])
    elif passes(path) == OK:
        # Whose it was the server knows from the first call, so that it is the handler that finds nothing.
        assert teams.call(path, message, "stranger").code == "PERMISSION_DENIED"
        rule = rules.rule_of(path)
        assert isinstance(rule, tuple)
        assert isinstance(rule[0].place, rules.OfObject)
        nested = getattr(message, rule[0].place.path.partition(".")[0]) if "." in rule[0].place.path else message
        deletion, made = _DELETES[rule[0].place.kind]
        teams.done(deletion, made(id_of(nested)))
    request_id = new()
    answer = teams.call(path, message, "admin", request_id=request_id)
    # To archive an experiment that was deleted is no error, and no deed.
    done_nothing = (OK,) if "rchiveExperiment" in path else ("NOT_FOUND", "INVALID_ARGUMENT", "UNIMPLEMENTED")
    assert answer.code in done_nothing, answer
    assert lines_of(teams, request_id) == []


REFUSED = [path for path in METHODS if outcome(path, "stranger") == DENIED]


def _refusal_id(caller: str, path: str) -> str:
    return f"{caller}:{path[1:].replace('/', ':')}"


@pytest.fixture(scope="module")
def refused(teams: TwoTeams) -> dict[str, list[access_pb2.AuditEvent]]:
    """Lines by their request's id, of refused calls that were all made before any line is waited for."""
    for path in REFUSED:
        message = request(teams, path, A, "administrator")
        for caller, code in (("stranger", "PERMISSION_DENIED"), ("nobody", "UNAUTHENTICATED")):
            assert teams.call(path, message, caller, request_id=_refusal_id(caller, path)).code == code
    until = time.monotonic() + 10
    found: dict[str, list[access_pb2.AuditEvent]] = {}
    while len(found) < 2 * len(REFUSED) and time.monotonic() < until:
        found = {}
        for result in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
            asked = access_pb2.ListAuditEventsRequest(page_size=1000, result=result)
            for event in teams.done(f"{ACCESS}/ListAuditEvents", asked).audit_events:
                if ":" in event.request_id:
                    found.setdefault(event.request_id, []).append(event)
    return found


@pytest.mark.parametrize("path", REFUSED)
def test_a_refused_call_has_its_line(
    teams: TwoTeams, refused: dict[str, list[access_pb2.AuditEvent]], path: str
) -> None:
    (line,) = refused[_refusal_id("stranger", path)]
    assert (line.resource, line.verb) == right_of(path)
    assert line.namespace == ("" if path.startswith(STORE) else A)
    assert (line.user, line.source, line.address) == ("stranger", "kubeflow", "127.0.0.1")
    assert (line.method, line.result, line.object_id) == (path, "PERMISSION_DENIED", "")
    assert "may not" in line.reason
    (line,) = refused[_refusal_id("nobody", path)]
    assert (line.method, line.result, line.user) == (path, "UNAUTHENTICATED", "")
    assert (line.resource, line.verb, line.namespace) == ("", "", "")


# What any identified caller may call, the handler decides: a call of each that it refuses, and what becomes of it.
_IDENTIFIED = [path for path in METHODS if rules.rule_of(path) is rules.Openness.IDENTIFIED]
_NEVER_REFUSED = (f"{ACCESS}/WhoAmI", f"{INSIGHT}/PreviewFires")


def _more_than_its_token(teams: TwoTeams) -> Message:
    if "limited" not in teams.credentials:
        made = token_request()
        made.role = "viewer"
        answer = teams.call(f"{ACCESS}/CreateToken", made, "stranger")
        teams.credentials["limited"] = {"Authorization": f"Bearer {answer.replies[0].secret}"}
    return token_request()


_BY_HANDLER: dict[str, tuple[str, Callable[[TwoTeams], Message], str]] = {
    f"{ACCESS}/CreateToken": ("limited", _more_than_its_token, "PERMISSION_DENIED"),
    f"{ACCESS}/ListTokens": (
        "stranger", lambda _: access_pb2.ListTokensRequest(all_users=True), "PERMISSION_DENIED",
    ),
    f"{ACCESS}/RevokeToken": (
        "stranger", lambda teams: access_pb2.RevokeTokenRequest(token_id=teams.token("admin")), "NOT_FOUND",
    ),
    "/api.AuthService/AuthorizeV1": (
        "stranger",
        lambda _: auth_pb2.AuthorizeRequest(
            namespace=A, resources=auth_pb2.AuthorizeRequest.VIEWERS, verb=auth_pb2.AuthorizeRequest.GET
        ),
        "PERMISSION_DENIED",
    ),
}  # fmt: skip


def _line_of_refusal(teams: TwoTeams, request_id: str) -> access_pb2.AuditEvent:
    until = time.monotonic() + 10
    while not (found := lines_of(teams, request_id)) and time.monotonic() < until:
        time.sleep(0.05)
    (line,) = found
    return line


@pytest.mark.parametrize("path", [path for path in _IDENTIFIED if path not in _NEVER_REFUSED])
def test_what_a_handler_refuses_has_its_line(teams: TwoTeams, path: str) -> None:
    caller, made, code = _BY_HANDLER[path]
    message, request_id = made(teams), new()
    assert teams.call(path, message, caller, request_id=request_id).code == code
    line = _line_of_refusal(teams, request_id)
    right = right_of(path)
    assert (line.resource, line.verb) == (right if right[0] else _RIGHTS[path])
    # The token's own user.
    assert (line.user, line.method, line.result) == ("stranger", path, "PERMISSION_DENIED")
    assert line.reason


_RIGHTS = {f"{ACCESS}/ListTokens": ("tokens", "list"), "/api.AuthService/AuthorizeV1": ("viewers", "get")}


def test_content_in_anothers_place_is_a_refusal_with_its_line(teams: TwoTeams) -> None:
    """A stream, which the handler refuses though its caller may read the artifact."""
    place = teams.places[A]
    stolen = Artifact(new(), place.run, PIPELINE, "stolen", "system.Dataset", teams.places[B].uri, created_at=1)
    with teams.database.writing() as uow:
        uow.artifacts.upsert_many([stolen])
    path, request_id = f"{INSIGHT}/ReadArtifact", new()
    message = insight_pb2.ReadArtifactRequest(name=stolen.name)
    assert teams.call(path, message, "admin", request_id=request_id).code == "PERMISSION_DENIED"
    line = _line_of_refusal(teams, request_id)
    assert (line.user, line.resource, line.verb, line.namespace) == ("admin", "runs", "readArtifact", A)


def _denials(teams: TwoTeams) -> dict[tuple[str, str], float]:
    """What the metrics have of calls that were turned away, by port and reason."""
    content = call("GET", f"{teams.http}/metrics").body.decode()
    return {
        (sample.labels["port"], sample.labels["reason"]): sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
        if sample.name == "penstock_access_refusals_total"
    }


def test_what_is_refused_is_counted_and_the_count_names_nobody(teams: TwoTeams) -> None:
    before = _denials(teams)
    assert set(before) == {
        (port.value, reason.value)
        for port in Port
        for reason in Denial
        if (port, reason) != (Port.DISPATCH, Denial.OTHER_SITE)
    }
    runs, listed = f"{V2}.RunService/ListRuns", run_pb2.ListRunsRequest(namespace=A)
    revoke = access_pb2.RevokeTokenRequest(token_id=teams.token("admin"))
    for caller in ("stranger", "stranger", "nobody", "agent"):
        teams.call(runs, listed, caller)
    teams.call(f"{ACCESS}/RevokeToken", revoke, "stranger")
    evil = {**teams.credentials["admin"], "Origin": "https://evil.example"}
    assert call("GET", f"{teams.http}/apis/v2beta1/runs?namespace={A}", headers=evil).status == 403
    with grpc.insecure_channel(teams.servers.dispatch[0]) as channel:
        heartbeat = _DISPATCH.methods_by_name["Heartbeat"]
        called(channel, heartbeat, dispatch_pb2.HeartbeatRequest(), (("authorization", "Bearer guessed"),))
        called(channel, heartbeat, dispatch_pb2.HeartbeatRequest(), ())
    grown = {key: count - before[key] for key, count in _denials(teams).items() if count != before[key]}
    assert grown == {
        ("public", "no_right"): 2,
        ("public", "bad_credentials"): 1,
        ("public", "no_credentials"): 1,
        ("public", "concealed"): 1,
        ("public", "other_site"): 1,
        ("dispatch", "bad_credentials"): 1,
        ("dispatch", "no_credentials"): 1,
    }


_DISPATCH = dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"]


@pytest.mark.parametrize("name", [method.name for method in _DISPATCH.methods])
def test_an_executor_that_is_refused_has_its_line(teams: TwoTeams, name: str) -> None:
    method = _DISPATCH.methods_by_name[name]
    message, request_id = message_factory.GetMessageClass(method.input_type)(), new()
    metadata = (("authorization", "Bearer guessed"), ("x-request-id", request_id))
    with grpc.insecure_channel(teams.servers.dispatch[0]) as channel:
        assert called(channel, method, message, metadata).code == "UNAUTHENTICATED"
    line = _line_of_refusal(teams, request_id)
    assert (line.method, line.result) == (f"/{method.containing_service.full_name}/{name}", "UNAUTHENTICATED")
