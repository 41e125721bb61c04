"""The scenario's calls from Python: the generated stubs, a client that knows nothing but reflection, and REST."""

from __future__ import annotations

import base64
import itertools
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import grpc
from google.api import annotations_pb2
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from penstock.client import Client
from penstock_api.v1 import insight_pb2, insight_pb2_grpc, upload_pb2, upload_pb2_grpc
from penstock_api.v1beta1 import (
    auth_pb2_grpc,
    experiment_pb2_grpc,
    job_pb2_grpc,
    pipeline_pb2_grpc,
    run_pb2_grpc,
    task_pb2_grpc,
    visualization_pb2_grpc,
)

from tests.clients.walk import Call, CallFailedError
from tests.support import http

_ = insight_pb2, upload_pb2


def generated(client: Client, client_id: str) -> Call:
    """`penstock.client` and the generated stubs."""
    channel = client.channel
    v2 = "kubeflow.pipelines.backend.api.v2beta1"
    stubs: dict[str, Any] = {
        f"{v2}.ExperimentService": client.experiments,
        f"{v2}.PipelineService": client.pipelines,
        f"{v2}.RunService": client.runs,
        f"{v2}.RecurringRunService": client.recurring_runs,
        "penstock.v1.InsightService": insight_pb2_grpc.InsightServiceStub(channel),
        "penstock.v1.WatchService": client.watches,
        "penstock.v1.PipelineUploadService": upload_pb2_grpc.PipelineUploadServiceStub(channel),
        "penstock.v1.AccessService": client.access,
        "penstock.v1.PoolService": client.pools,
        "api.AuthService": auth_pb2_grpc.AuthServiceStub(channel),
        "api.ExperimentService": experiment_pb2_grpc.ExperimentServiceStub(channel),
        "api.JobService": job_pb2_grpc.JobServiceStub(channel),
        "api.PipelineService": pipeline_pb2_grpc.PipelineServiceStub(channel),
        "api.RunService": run_pb2_grpc.RunServiceStub(channel),
        "api.TaskService": task_pb2_grpc.TaskServiceStub(channel),
        "api.VisualizationService": visualization_pb2_grpc.VisualizationServiceStub(channel),
    }
    ids = _ids(client_id)

    def call(step: dict[str, Any], request: Any) -> Any:
        service, name = step["call"].split("/")
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        message = json_format.ParseDict(request, message_factory.GetMessageClass(method.input_type)())
        return _answer(getattr(stubs[service], name), message, method, next(ids))

    return call


def by_reflection(channel: grpc.Channel, client_id: str) -> Call:
    """As grpcurl does it: types come from the server."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    ids = _ids(client_id)

    def call(step: dict[str, Any], request: Any) -> Any:
        service, name = step["call"].split("/")
        method = pool.FindServiceByName(service).methods_by_name[name]
        message = json_format.ParseDict(request, message_factory.GetMessageClass(method.input_type)())
        make = channel.unary_stream if method.server_streaming else channel.unary_unary
        reply = message_factory.GetMessageClass(method.output_type)
        stub: Any = make(f"/{service}/{name}", lambda one: one.SerializeToString(), reply.FromString)
        return _answer(stub, message, method, next(ids))

    return call


def rest(base: str, client_id: str) -> Call:
    """Plain HTTP by the annotations."""
    ids = _ids(client_id)

    def call(step: dict[str, Any], request: Any) -> Any:
        headers = {"X-Request-Id": next(ids)}
        how = step.get("http")
        if how is None:
            reply = _annotated(base, step["call"], request, headers)
        elif "upload" in how:
            reply = _uploaded(base, how, request, headers)
        elif "object" in how:
            path = urllib.parse.quote(how["object"].removeprefix("file://"))
            reply = http.call("GET", f"{base}/artifacts/file{path}", headers=headers)
        else:
            reply = http.call("GET", base + how["get"], headers=headers)
        if reply.status >= 400:
            document = reply.json
            code = next(one.name for one in grpc.StatusCode if one.value[0] == document["code"])
            raise CallFailedError(code, document["message"])
        if how is None or "upload" in how:
            return reply.json
        return {how["as"]: reply.json} if "as" in how else {"data": base64.b64encode(reply.body).decode()}

    return call


def _answer(stub: Any, message: Any, method: Any, request_id: str) -> Any:
    metadata = (("x-request-id", request_id),)
    try:
        if not method.server_streaming:
            return _json(stub(message, timeout=60, metadata=metadata))
        replies = list(stub(message, timeout=60, metadata=metadata))
        return {**_json(replies[0]), "messages": len(replies)}
    except grpc.RpcError as error:
        raise CallFailedError(error.code().name, error.details() or "") from error


def _json(message: Any) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _annotated(base: str, name: str, request: dict[str, Any], headers: dict[str, str]) -> http.Reply:
    service, method_name = name.split("/")
    method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method_name]
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    path, rest_of = getattr(rule, verb), json.loads(json.dumps(request))
    for part in [piece.split("}")[0] for piece in path.split("{")[1:]]:
        *parents, last = part.split(".")
        holder = rest_of
        for parent in parents:
            holder = holder[parent]
        path = path.replace("{" + part + "}", urllib.parse.quote(str(holder[last]), safe=""))
        if not parents:
            del holder[last]
    body = rest_of if rule.body == "*" else rest_of.pop(rule.body, {}) if rule.body else None
    query = "" if rule.body == "*" else urllib.parse.urlencode(list(_flat(rest_of)))
    if service.endswith(".v2beta1.RunService"):
        # Without it, replies over REST leave out what upstream does not have.
        query += "&options=true"
    return http.call(verb.upper(), f"{base}{path}?{query}", body, headers=headers)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key}.")
        elif isinstance(item, list):
            yield from ((f"{prefix}{key}", str(one)) for one in item)
        else:
            yield f"{prefix}{key}", str(item).lower() if isinstance(item, bool) else str(item)


def _uploaded(base: str, how: dict[str, Any], request: dict[str, Any], headers: dict[str, str]) -> http.Reply:
    renamed = how.get("renamed", {})
    query = {
        renamed.get(key, key): json.dumps(value) if isinstance(value, dict) else value
        for key, value in request.items()
        if key not in ("content", "file_name")
    }
    url = f"{base}{how['upload']}?{urllib.parse.urlencode(query)}"
    return http.send_file(url, base64.b64decode(request["content"]), request["file_name"], headers=headers)


def _ids(client_id: str) -> Iterator[str]:
    return (f"{client_id}-{number}" for number in itertools.count())
