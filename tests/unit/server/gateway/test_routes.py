"""A route that names what its request does not have is found when the routes are read, not by the first caller."""

from __future__ import annotations

import re

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from penstock_server.gateway.transcoder import RouteTable


def service(number: int, path: str, body: str) -> ServiceDescriptor:
    """With one RPC, whose request has `run_id` and `place.name`; `number` keeps the files of the cases apart."""
    file = descriptor_pb2.FileDescriptorProto(name=f"routes{number}.proto", package=f"routes{number}", syntax="proto3")
    file.dependency.append("google/api/annotations.proto")
    place = file.message_type.add(name="Place")
    place.field.add(name="name", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    request = file.message_type.add(name="Request")
    request.field.add(name="run_id", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    kind = f".routes{number}.Place"
    request.field.add(name="place", number=2, type="TYPE_MESSAGE", label="LABEL_OPTIONAL", type_name=kind)
    message = f".routes{number}.Request"
    method = file.service.add(name="Service").method.add(name="Call", input_type=message, output_type=message)
    rule = method.options.Extensions[annotations_pb2.http]
    rule.post, rule.body = path, body
    pool = descriptor_pool.DescriptorPool()
    for dependency in ("google/protobuf/descriptor.proto", "google/api/http.proto", "google/api/annotations.proto"):
        pool.AddSerializedFile(descriptor_pool.Default().FindFileByName(dependency).serialized_pb)
    pool.Add(file)
    return pool.FindServiceByName(f"routes{number}.Service")


@pytest.mark.parametrize(
    ("number", "path", "body"),
    [(1, "/runs/{run_id}", ""), (2, "/runs/{place.name}", "*"), (3, "/runs", "place")],
)
def test_routes_that_name_fields(number: int, path: str, body: str) -> None:
    assert RouteTable([service(number, path, body)]).routes[0].path == path


@pytest.mark.parametrize(
    ("number", "path", "body", "name"),
    [(4, "/runs/{run}", "", "run"), (5, "/runs/{run_id.name}", "", "run_id.name"), (6, "/runs", "names", "names")],
)
def test_a_route_that_names_no_field(number: int, path: str, body: str, name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"names {name!r}, which is no field of Request")):
        RouteTable([service(number, path, body)])
