"""The reference of the gRPC API, made from the protos: a page for each package below docs/api, and their index.

Why from the protos: their comments are what the generated clients have too; a page that is written by hand falls
behind. Invariants: what the server serves to everybody is described, each message once; what executors alone call is
not. Equal protos give equal pages.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from penstock_server.rpc.server import public_services

from tools.protos import ROOT, protos

DIRECTORY = ROOT / "docs" / "api"
# By package; what a reader calls it, and the name of its page.
PACKAGES = {
    "kubeflow.pipelines.backend.api.v2beta1": ("Kubeflow Pipelines v2beta1", "v2beta1.md"),
    "penstock.v1": ("Penstock's own services", "penstock.md"),
    "api": ("Kubeflow Pipelines v1beta1", "v1beta1.md"),
}
# Travel as JSON text in a field of type string, so that no message leads to them.
_IN_TEXTS = ("kubeflow.pipelines.backend.api.v2beta1.Filter",)
_INDEX = """# API

What `penstock-server` serves, over gRPC (port 8887) and over REST (port 8888). These pages are made from the protos in
`api/penstock_api` by `make reference`: names, types and what each field means. How calls behave, errors, lists, limits
and where they differ from Kubeflow Pipelines, is in [the wire contract](../contract/api.md); the routes of REST, with
those that no RPC has, are in [rest.md](rest.md). Calls with `grpcurl`: [grpcurl.md](../grpcurl.md); clients:
[Python](../../clients/python/README.md), [Go](../../clients/go/README.md),
[TypeScript](../../clients/typescript/README.md).

| service | package | what it is for |
|---|---|---|
"""
_ELSEWHERE = """| `MetadataStoreService` | `ml_metadata` | Lineage, as ML Metadata serves it; not served with \
`--metadata-database none` |
| `Health` | `grpc.health.v1` | Whether the server, and each service by its name, takes calls |
| `ServerReflection` | `grpc.reflection.v1alpha` | The protos, for clients that have none, such as `grpcurl` |
"""


def package_of(name: str) -> str:
    """Of a type's or service's full name; empty for one that has no page."""
    return next((package for package in PACKAGES if name.startswith(f"{package}.")), "")


def link(name: str) -> str:
    """Markdown for a type, leading to where its page describes it."""
    package = package_of(name)
    if not package:
        return f"`{name}`"
    short = name.removeprefix(f"{package}.")
    return f"[{short}]({PACKAGES[package][1]}#{short.replace('.', '').lower()})"


def pages() -> dict[Path, str]:
    """The content of each page, by its file."""
    made = {DIRECTORY / "README.md": _index()}
    described = _reachable()
    for package, (_, file) in PACKAGES.items():
        made[DIRECTORY / file] = _page(package, described)
    return made


def _served(package: str) -> Iterator[tuple[str, ServiceDescriptorProto]]:
    for service in public_services():
        if package_of(service.full_name) == package:
            yield service.full_name, protos().services[service.full_name]


def _reachable() -> set[str]:
    """Names of the types that calls carry, directly or inside others."""
    todo = list(_IN_TEXTS)
    for package in PACKAGES:
        for _, service in _served(package):
            todo += [name.lstrip(".") for method in service.method for name in (method.input_type, method.output_type)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        known = protos().types.get(name)
        if known is not None and name not in found:
            found.add(name)
            if isinstance(known, DescriptorProto):
                todo += [field.type_name.lstrip(".") for field in known.field if field.type_name]
    return found


def service_comment(name: str) -> str:
    """The comment of a service's file where it has none of its own."""
    comments = protos().comments
    return comments.get(name) or comments.get(protos().files[name], "")


def _index() -> str:
    lines = [
        f"| {link(name)} | `{package}` | {service_comment(name)} |"
        for package in PACKAGES
        for name, _ in _served(package)
    ]
    return _INDEX + "\n".join(lines) + "\n" + _ELSEWHERE


def _page(package: str, described: set[str]) -> str:
    title, _ = PACKAGES[package]
    text = f"# {title}\n\nPackage `{package}`. Made by `make reference` from the protos. [All services](README.md);\n"
    text += "[routes of REST](rest.md).\n"
    for name, service in _served(package):
        text += f"\n## {service.name}\n\n{wrapped(service_comment(name))}"
        text += "\n| RPC | meaning | takes | gives |\n|---|---|---|---|\n"
        text += "".join(_method(name, method) for method in service.method)
    text += "\n## Messages and enumerations\n"
    for name, known in protos().types.items():
        if name in described and package_of(name) == package:
            if isinstance(known, EnumDescriptorProto):
                text += _enum(package, name, known)
            elif not known.options.map_entry:
                text += _message(package, name, known)
    return text


def _said(name: str) -> str:
    comment = protos().comments.get(name)
    return f"\n{wrapped(comment)}" if comment else ""


def wrapped(comment: str) -> str:
    """A paragraph in lines of at most 120 characters."""
    return textwrap.fill(comment, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _method(service: str, method: MethodDescriptorProto) -> str:
    gives = ("stream of " if method.server_streaming else "") + link(method.output_type.lstrip("."))
    said = protos().comments.get(f"{service}.{method.name}", "")
    return f"| `{method.name}` | {_cell(said)} | {link(method.input_type.lstrip('.'))} | {gives} |\n"


def _enum(package: str, name: str, enum: EnumDescriptorProto) -> str:
    text = f"\n### {name.removeprefix(f'{package}.')}\n{_said(name)}\n| value | meaning |\n|---|---|\n"
    return text + "".join(
        f"| `{value.name}` | {_cell(protos().comments.get(f'{name}.{value.name}', ''))} |\n" for value in enum.value
    )


def _message(package: str, name: str, message: DescriptorProto) -> str:
    text = f"\n### {name.removeprefix(f'{package}.')}\n{_said(name)}"
    if not message.field:
        return text + "\nHas no fields.\n"
    text += "\n| field | type | meaning |\n|---|---|---|\n"
    for field in message.field:
        said = [protos().comments.get(f"{name}.{field.name}", "")]
        if field.HasField("oneof_index") and not field.proto3_optional:
            said.append(f"Of `{message.oneof_decl[field.oneof_index].name}`, one field at most is set.")
        if field.options.deprecated:
            said.append("Deprecated.")
        text += f"| `{field.name}` | {_type(field)} | {_cell(' '.join(part for part in said if part))} |\n"
    return text


def _type(field: FieldDescriptorProto) -> str:
    name = field.type_name.lstrip(".")
    known = protos().types.get(name)
    if isinstance(known, DescriptorProto) and known.options.map_entry:
        key, value = known.field
        return f"map of {_type(key)} to {_type(value)}"
    shown = link(name) if name else f"`{FieldDescriptorProto.Type.Name(field.type).removeprefix('TYPE_').lower()}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {shown}"
    return f"optional {shown}" if field.proto3_optional else shown


def _cell(text: str) -> str:
    """A comment as a table takes it."""
    return text.replace("|", "\\|")
