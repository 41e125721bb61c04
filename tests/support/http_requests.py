"""The HTTP request for every route of the server, and the RPC that it comes to.

Invariant: a route that is not known here is a KeyError, not one that is left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from penstock_server.domain.run import RunState

from tests.support.http import call, send_file
from tests.support.requests_of_all import FAILED_RUNS, passes
from tests.support.two_teams import METHODS, PACKAGE, PIPELINE, Place, TwoTeams, annotation, new
from tools.authorization_table import OPEN_ROUTES, ROUTES

RPCS = {annotation(method)[:2]: path for path, method in METHODS.items() if annotation(method)[0]}
"""RPCs by verb and route of their annotations."""
_STATUS = {"OK": "200", "UNIMPLEMENTED": "501", "INVALID_ARGUMENT": "400"}
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def _pod(place: Place) -> dict[str, str]:
    return {"podname": place.pod}


def _object(place: Place) -> dict[str, str]:
    bucket, _, key = place.uri.removeprefix("file:///").partition("/")
    return {"source": "file", "bucket": bucket, "key": key}


_WATCHES = ("/apis/penstock/v1/runs/{run_id}:watch",)
_QUERIES: dict[str, Callable[[Place], dict[str, str]]] = {
    "/artifacts/get": _object,
    **dict.fromkeys(_WATCHES, lambda _: {"until_finished": "true"}),
    "/apis/penstock/v1/runs:watch": lambda place: {
        "namespace": place.namespace,
        "filter": FAILED_RUNS,
        "until_finished": "true",
    },
    **dict.fromkeys(("/k8s/pod", "/k8s/pod/events", "/k8s/pod/logs"), _pod),
    **{
        f"/apis/{version}/pipelines/upload": lambda place: {"name": new(), "namespace": place.namespace}
        for version in ("v1beta1", "v2beta1")
    },
    **{
        f"/apis/{version}/pipelines/upload_version": lambda place: {"name": new(), "pipelineid": place.pipeline}
        for version in ("v1beta1", "v2beta1")
    },
}
OTHERS: dict[tuple[str, str], str] = {
    **{("GET", path): "" for path in OPEN_ROUTES},
    **{(verb, path): rpc for rpc in ROUTES for verb, _, path in (route.partition(" ") for route in ROUTES[rpc])},
}
"""The RPCs of the routes that no annotation has, by verb and path; empty for those that are open to all."""


def _path_and_query(teams: TwoTeams, path: str, place: Place) -> str:
    # What is watched must have ended, so that the watch ends.
    run_id = teams.run(place.namespace, RunState.FAILED) if path in _WATCHES else place.run
    values = {"name": place.artifact, "run_id": run_id, "node_id": PIPELINE, **_object(place)}
    found = path.format_map(values)
    return f"{found}?{urlencode(_QUERIES[path](place))}" if path in _QUERIES else found


def status_of_route(path: str) -> str:
    """What a route of OTHERS answers to those who may have it: metadata of a cloud is never there."""
    return "404" if path.startswith("/system/") else "200"


def passing_status(path: str) -> str:
    """The HTTP status of a call that is let through."""
    return _STATUS[passes(path)]


def send(teams: TwoTeams, path: str, message: Message, caller: str, prefix: str = "") -> str:
    """The status of a call of an RPC by its annotated route."""
    verb, url, document = _transcoded(path, message)
    return str(call(verb, teams.http + prefix + url, document, headers=teams.credentials[caller]).status)


def send_route(teams: TwoTeams, key: tuple[str, str], place: Place, caller: str, prefix: str = "") -> str:
    """The status of a request of a route in OTHERS. Uploads refuse with 400, as upstream's; it is 403 here."""
    verb, path = key
    url = teams.http + prefix + _path_and_query(teams, path, place)
    if verb == "GET":
        return str(call(verb, url, headers=teams.credentials[caller]).status)
    reply = send_file(url, PACKAGE, "pipeline.json", teams.credentials[caller])
    return "403" if reply.status == 400 and b" may not create " in reply.body else str(reply.status)


def send_web(teams: TwoTeams, path: str, message: Message, caller: str) -> str:
    """The code of a call over gRPC-Web; an HTTP status where there is none."""
    content = message.SerializeToString()
    reply = call(
        "POST",
        teams.http + path,
        data=struct.pack(">BI", 0, len(content)) + content,
        content_type="application/grpc-web+proto",
        headers=teams.credentials[caller],
    )
    trailer = re.search(rb"grpc-status: ?(\d+)", reply.body)
    return str(reply.status) if trailer is None else _CODES[int(trailer.group(1))]


def _transcoded(path: str, message: Message) -> tuple[str, str, Any]:
    """Verb, path with query, and body."""
    verb, route, body = annotation(METHODS[path])
    document = MessageToDict(message, preserving_proto_field_name=True)
    values = dict(_flat(document))
    variables = re.findall(r"\{([\w.]+)\}", route)
    for name in variables:
        route = route.replace(f"{{{name}}}", quote(str(values[name]), safe=""))
    if body:
        return verb, route, document if body == "*" else document.get(body, {})
    query = {name: value for name, value in values.items() if name not in variables}
    return verb, f"{route}?{urlencode(query, doseq=True)}" if query else route, None


def _flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in document.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found
