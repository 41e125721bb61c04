"""Every RPC has a rule, and every rule reads fields that the request has."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from penstock_server.access import rules
from penstock_server.access.rules import Check, InField, OfListing, OfObject, OfReference, OfTask, OfUri, Openness
from penstock_server.rpc.metadata_store import SERVICE as METADATA
from penstock_server.rpc.server import public_services

_SERVICES = (*public_services(), METADATA)
_METHODS = {f"/{service.full_name}/{method.name}": method for service in _SERVICES for method in service.methods}


def _paths(check: Check) -> list[str]:
    place = check.place
    paths = [check.name, check.only_if]
    if isinstance(place, InField | OfObject | OfReference | OfUri):
        paths.append(place.path)
    elif isinstance(place, OfTask):
        paths += [place.run, place.node]
    elif isinstance(place, OfListing):
        paths += [place.namespace, place.narrowed.path if place.narrowed else ""]
    return [path for path in paths if path]


def _field(message: Descriptor, path: str) -> FieldDescriptor:
    field: FieldDescriptor | None = None
    for name in path.split("."):
        field = message.fields_by_name[name]
        if field.message_type is not None:
            message = field.message_type
    assert field is not None
    return field


@pytest.mark.parametrize("path", sorted(_METHODS))
def test_method_has_a_rule_on_fields_of_its_request(path: str) -> None:
    rule = rules.rule_of(path)
    assert rule is not None, f"{path} has no rule in access/rules.py"
    if isinstance(rule, Openness):
        return
    assert rule, "a rule without checks lets everybody pass"
    method: MethodDescriptor = _METHODS[path]
    for check in rule:
        for name in _paths(check):
            field = _field(method.input_type, name)
            if isinstance(check.place, OfReference) and name == check.place.path:
                assert field.message_type is not None
                assert field.message_type.name in ("ResourceKey", "ResourceReference")
            else:
                assert field.type == FieldDescriptor.TYPE_STRING


def test_table_has_no_method_that_is_not_served() -> None:
    infrastructure = {path for path in rules.RULES if path.startswith("/grpc.")}
    assert set(rules.RULES) - infrastructure <= set(_METHODS)


def test_only_health_is_public() -> None:
    public = [path for path, rule in rules.RULES.items() if rule is Openness.PUBLIC]
    assert public == ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"]


def test_unknown_method_has_none() -> None:
    assert rules.rule_of("/kubeflow.pipelines.backend.api.v2beta1.RunService/Unknown") is None
    assert rules.rule_of("/penstock.internal.v1.DispatchService/ClaimRuns") is None
