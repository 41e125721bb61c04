"""The OpenAPI 3 document of the REST gateway, from the protos. tools/generate.py writes it where the gateway serves it.

Invariants: every route the gateway has is in it, the annotated ones from their descriptors with the protos' comments as
descriptions; schemas are protojson's (proto names, 64-bit integers as strings, enumerations by name), so a reply that
does not fit is a defect. Equal protos give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from penstock_server.domain.field_masks import takes_mask

Schema = dict[str, Any]
# As of the gateway; a test compares.
_SERVED = {
    "kubeflow.pipelines.backend.api.v2beta1": (
        "ExperimentService", "PipelineService", "RunService", "RecurringRunService",
    ),
    "penstock.v1": ("InsightService", "AccessService", "PoolService", "WatchService"),
    "api": (
        "ExperimentService", "PipelineService", "RunService", "JobService", "TaskService", "AuthService",
        "VisualizationService",
    ),
}  # fmt: skip
_VARIABLE = re.compile(r"\{([\w.]+)\}")
_SCALARS: Mapping[int, Schema] = {
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_BYTES: {"type": "string", "format": "byte"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_FLOAT: {"type": "number", "format": "float"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    Field.TYPE_INT64: {"type": "string", "pattern": r"^-?\d{1,19}$"},
    Field.TYPE_STRING: {"type": "string"},
}
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
}
_FIELDS: Schema = {
    "name": "fields",
    "in": "query",
    "schema": {"type": "string"},
    "description": "Which fields of the reply are wanted: paths with dots, commas between them, such as"
    " runs.run_id,next_page_token. All where it is not sent.",
}
_ERRORS = {
    400: "Something in the request cannot be right; the message names it.",
    401: "Who calls is not known.",
    403: "The caller may not do this.",
    404: "There is no such object or route.",
    409: "It exists already, or its state forbids this.",
    413: "The body is too large.",
    415: "The body has a content type that the route does not take.",
    429: "Too much was asked for.",
    499: "The caller went away.",
    501: "The route does not have this verb, or the server not this feature.",
    503: "The server, or what it needs, is away; the same request may succeed later.",
    504: "The deadline passed.",
}


def document(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> str:
    """JSON text. `files` hold the public API and all it imports, with source info."""
    api = _Api(list(files))
    paths: dict[str, Any] = {}
    for package, services in _SERVED.items():
        for service in services:
            for verb, path, operation in api.operations(package, service):
                paths.setdefault(path, {})[verb] = operation
    for path, verbs in _plain_routes().items():
        paths.setdefault(path, {}).update(verbs)
    made = {
        "openapi": "3.0.3",
        "info": {
            "title": "Penstock",
            "version": "0.1.0",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "description": "Kubeflow Pipelines over REST. Replies leave out what is empty, zero or false; keys of"
            " requests may be in camelCase too, unknown ones are refused. Everything is also served below /pipeline.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted({**api.schemas, **_own_schemas()}.items()))},
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


class _Api:
    def __init__(self, files: list[descriptor_pb2.FileDescriptorProto]) -> None:
        self.schemas: dict[str, Schema] = {}
        self._messages: dict[str, descriptor_pb2.DescriptorProto] = {}
        self._enums: dict[str, descriptor_pb2.EnumDescriptorProto] = {}
        self._services: dict[str, descriptor_pb2.ServiceDescriptorProto] = {}
        self._comments: dict[str, str] = {}
        for file in files:
            for location in file.source_code_info.location:
                name = _named(file, list(location.path))
                if name and location.leading_comments:
                    self._comments[name] = " ".join(location.leading_comments.split())
            for service in file.service:
                self._services[f"{file.package}.{service.name}"] = service
            for enum in file.enum_type:
                self._enums[f"{file.package}.{enum.name}"] = enum
            for message in file.message_type:
                self._add(file.package, message)

    def _add(self, prefix: str, message: descriptor_pb2.DescriptorProto) -> None:
        name = f"{prefix}.{message.name}"
        self._messages[name] = message
        for enum in message.enum_type:
            self._enums[f"{name}.{enum.name}"] = enum
        for nested in message.nested_type:
            self._add(name, nested)

    def operations(self, package: str, name: str) -> Iterable[tuple[str, str, Schema]]:
        full = f"{package}.{name}"
        for method in self._services[full].method:
            if not method.options.HasExtension(annotations_pb2.http):
                continue
            rule = method.options.Extensions[annotations_pb2.http]
            verb = rule.WhichOneof("pattern")
            assert verb is not None
            # `{pipeline.pipeline_id}` is named by its last part: tools take dots in names for something else.
            annotated = getattr(rule, verb)
            path = _VARIABLE.sub(lambda match: "{" + match.group(1).rsplit(".", 1)[-1] + "}", annotated)
            request = method.input_type.lstrip(".")
            variables = _VARIABLE.findall(path)
            operation: Schema = {
                "operationId": f"{full}.{method.name}",
                "tags": [full],
                "parameters": [
                    {"name": one, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                    for one in variables
                ],
                "responses": responses(self._reference(method.output_type)),
            }
            if verb == "get":
                operation["responses"]["304"] = {"description": "The reply has the tag that If-None-Match names."}
            if takes_mask(f"/{full}/{method.name}"):
                operation["parameters"].append(_FIELDS)
            comment = self._comments.get(f"{full}.{method.name}")
            if comment:
                operation["description"] = comment
            if rule.body:
                schema = self._reference(request) if rule.body == "*" else self._of_field(request, rule.body)
                operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
            if rule.body != "*":
                operation["parameters"] += self._query(request, {rule.body, *_VARIABLE.findall(annotated)})
            yield verb, path, operation

    def _query(self, message: str, taken: set[str], prefix: str = "") -> list[Schema]:
        found: list[Schema] = []
        for field in self._messages[message].field:
            if field.name in taken or field.label == Field.LABEL_REPEATED:
                continue
            if field.type == Field.TYPE_MESSAGE:
                kind = field.type_name.lstrip(".")
                if not prefix and kind not in _WELL_KNOWN:
                    found += self._query(kind, set(), f"{field.name}.")
                continue
            one = {"name": f"{prefix}{field.name}", "in": "query", "schema": self._schema(field)}
            comment = self._comments.get(f"{message}.{field.name}")
            found.append({**one, "description": comment} if comment else one)
        return found

    def _of_field(self, message: str, name: str) -> Schema:
        return self._schema(next(field for field in self._messages[message].field if field.name == name))

    def _schema(self, field: Field) -> Schema:
        if field.type == Field.TYPE_MESSAGE:
            kind = self._messages.get(field.type_name.lstrip("."))
            if kind is not None and kind.options.map_entry:
                return {"type": "object", "additionalProperties": self._schema(kind.field[1])}
            schema = self._reference(field.type_name)
        elif field.type == Field.TYPE_ENUM:
            values = self._enums[field.type_name.lstrip(".")].value
            schema = {"type": "string", "enum": [value.name for value in values]}
        else:
            schema = dict(_SCALARS[field.type])
        return {"type": "array", "items": schema} if field.label == Field.LABEL_REPEATED else schema

    def _reference(self, type_name: str) -> Schema:
        name = type_name.lstrip(".")
        if name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[name])
        if name not in self.schemas:
            self.schemas[name] = {}
            message = self._messages[name]
            properties = {}
            for field in message.field:
                schema = self._schema(field)
                comment = self._comments.get(f"{name}.{field.name}")
                properties[field.name] = (
                    {**schema, "description": comment} if comment and "$ref" not in schema else schema
                )
            self.schemas[name] = {"type": "object", "properties": properties, "additionalProperties": False}
        return {"$ref": f"#/components/schemas/{name}"}


def responses(schema: Schema, content_type: str = "application/json", error: str = "google.rpc.Status") -> Schema:
    failure = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{error}"}}}}
    return {
        "200": {"description": "Done.", "content": {content_type: {"schema": schema}}},
        **{str(status): {"description": text, **failure} for status, text in _ERRORS.items()},
    }


def _named(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str:
    """The full name of the method or field that a source location is about, empty for anything else."""
    if len(path) == 4 and path[0] == 6 and path[2] == 2:
        service = file.service[path[1]]
        return f"{file.package}.{service.name}.{service.method[path[3]].name}"
    if len(path) < 4 or len(path) % 2 or path[0] != 4 or path[-2] != 2:
        return ""
    message, name = file.message_type[path[1]], f"{file.package}.{file.message_type[path[1]].name}"
    for kind, index in zip(path[2:-2:2], path[3:-2:2], strict=True):
        if kind != 3:
            return ""
        message = message.nested_type[index]
        name += f".{message.name}"
    return f"{name}.{message.field[path[-1]].name}"


def _own_schemas() -> dict[str, Schema]:
    return {
        "google.rpc.Status": {
            "type": "object",
            "properties": {
                "code": {"type": "integer", "format": "int32"},
                "message": {"type": "string"},
                "details": {"type": "array", "items": _WELL_KNOWN["google.protobuf.Any"]},
            },
        },
        "UploadError": {
            "type": "object",
            "properties": {"error_message": {"type": "string"}, "error_details": {"type": "string"}},
        },
    }


def _plain_routes() -> dict[str, dict[str, Schema]]:
    """The routes that no annotation has (api.md §1.3 to §1.5, §4.2)."""
    text = {"type": "string"}
    data = {"type": "string", "format": "binary"}
    anything: Schema = {"type": "object"}

    def get(
        operation: str, *queries: str, required: tuple[str, ...] = (), schema: Schema = anything,
        content_type: str = "application/json", path: tuple[str, ...] = (),
    ) -> dict[str, Schema]:  # fmt: skip
        parameters = [{"name": one, "in": "path", "required": True, "schema": {**text, "minLength": 1}} for one in path]
        parameters += [
            {"name": one, "in": "query", "required": one in required, "schema": text} for one in (*required, *queries)
        ]
        return {
            "get": {
                "operationId": operation, "tags": ["http"], "parameters": parameters,
                "responses": responses(schema, content_type),
            }
        }  # fmt: skip

    def upload(version: str, operation: str, reply: str, *queries: str) -> dict[str, Schema]:
        packages = {
            "v1beta1": "api",
            "v2beta1": "kubeflow.pipelines.backend.api.v2beta1",
        }
        body = {"type": "object", "properties": {"uploadfile": data}, "required": ["uploadfile"]}
        return {
            "post": {
                "operationId": f"{operation}.{version}", "tags": ["http"],
                "parameters": [{"name": one, "in": "query", "schema": text} for one in queries],
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}},
                "responses": responses(
                    {"$ref": f"#/components/schemas/{packages[version]}.{reply}"}, error="UploadError"
                ),
            }
        }  # fmt: skip

    names = ("name", "display_name", "description", "tags", "code_source_url")
    plain: dict[str, Any] = {"schema": data, "content_type": "text/plain"}
    event = {name: {"type": "string"} for name in ("event", "id", "data")}
    events: dict[str, Any] = {
        "schema": {"type": "object", "required": ["data"], "properties": event},
        "content_type": "text/event-stream",
    }
    octets: dict[str, Any] = {"schema": data, "content_type": "application/octet-stream"}
    found = {
        "/apis/penstock/v1/artifacts/{name}:download": get("DownloadArtifact", path=("name",), **octets),
        "/apis/penstock/v1/artifacts/{name}:html": get(
            "ShowArtifact", path=("name",), schema=data, content_type="text/html"
        ),
        "/apis/penstock/v1/runs/{run_id}/events": get(
            "ReadEvents", path=("run_id",), schema=data, content_type="application/x-ndjson"
        ),
        "/apis/penstock/v1/runs/{run_id}:watch": get(
            "WatchRun", "after", "until_finished", "summary", path=("run_id",), **events
        ),
        "/apis/penstock/v1/runs:watch": get(
            "WatchRuns", "namespace", "experiment_id", "filter", "sort_by", "page_size", "page_token", "until_finished",
            **events,
        ),
        "/artifacts/get": get("PreviewArtifact", "peek", "namespace", "providerInfo",
                              required=("source", "bucket", "key"), **octets),
        "/artifacts/{source}/{bucket}/{key}": get("ReadStoredObject", path=("source", "bucket", "key"), **octets),
        "/k8s/pod": get("GetPod", "runid", "podnamespace", required=("podname",)),
        "/k8s/pod/events": get("ListPodEvents", "runid", "podnamespace", required=("podname",)),
        "/k8s/pod/logs": get("ReadPodLog", "runid", "podnamespace", "follow", required=("podname",), **plain),
        "/livez": get("GetLiveness"),
        "/metrics": get("GetMetrics", **plain),
        "/openapi.json": get("GetOpenApi"),
        "/readyz": get("GetReadiness"),
        "/system/cluster-name": get("GetClusterName"),
        "/system/project-id": get("GetProjectId"),
        "/visualizations/allowed": get("GetVisualizationsAllowed", **plain),
    }  # fmt: skip
    for version in ("v1alpha1", "v1beta1", "v2beta1"):
        path = f"/apis/{version}/runs/{{run_id}}/nodes/{{node_id}}/log"
        found[path] = get(f"ReadLog.{version}", "follow", path=("run_id", "node_id"), **plain)
    for version in ("v1beta1", "v2beta1"):
        found[f"/apis/{version}/healthz"] = get(f"GetHealthz.{version}")
        root = f"/apis/{version}/pipelines/upload"
        found[root] = upload(version, "UploadPipeline", "Pipeline", "namespace", *names)
        found[f"{root}_version"] = upload(version, "UploadPipelineVersion", "PipelineVersion", "pipelineid", *names)
    return found
