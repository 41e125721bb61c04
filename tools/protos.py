"""The protos below api/ with their comments, for the references that are made from them.

Why by buf: it is there for every Python, where protoc of grpcio-tools ends at 3.12, and what it reads has the comments.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

ROOT = Path(__file__).resolve().parents[1]
# Where a file's statement `syntax` stands, whose comment is that of the file.
_SYNTAX = (12,)
Names: TypeAlias = dict[tuple[int, ...], str]
Type: TypeAlias = DescriptorProto | EnumDescriptorProto


@dataclass(frozen=True)
class Protos:
    """Services and types by their full names, in the order of the files.

    `comments` has those of both, of methods, fields and values by their full names, those of files by their paths.
    """

    services: dict[str, ServiceDescriptorProto]
    types: dict[str, Type]
    files: dict[str, str]
    """Where a service is defined."""
    comments: dict[str, str]


@cache
def protos() -> Protos:
    """Every proto under api/, read by buf.

    Raises CalledProcessError when they do not compile.
    """
    command = [str(Path(sys.executable).with_name("buf")), "build", "--as-file-descriptor-set", "-o", "-#format=binpb"]
    image = FileDescriptorSet.FromString(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    found = Protos({}, {}, {}, {})
    for file in image.file:
        names: Names = {_SYNTAX: file.name}
        for at, service in enumerate(file.service):
            names[6, at] = name = f"{file.package}.{service.name}"
            found.services[name] = service
            found.files[name] = file.name
            names.update({(6, at, 2, index): f"{name}.{method.name}" for index, method in enumerate(service.method)})
        for at, enum in enumerate(file.enum_type):
            _add_enum(found, names, (5, at), file.package, enum)
        for at, message in enumerate(file.message_type):
            _add_message(found, names, (4, at), file.package, message)
        for location in file.source_code_info.location:
            said = location.leading_comments or location.trailing_comments
            if said and tuple(location.path) in names:
                found.comments[names[tuple(location.path)]] = " ".join(said.split())
    return found


def _add_message(found: Protos, names: Names, path: tuple[int, ...], scope: str, message: DescriptorProto) -> None:
    names[path] = name = f"{scope}.{message.name}"
    found.types[name] = message
    names.update({(*path, 2, index): f"{name}.{field.name}" for index, field in enumerate(message.field)})
    for at, enum in enumerate(message.enum_type):
        _add_enum(found, names, (*path, 4, at), name, enum)
    for at, nested in enumerate(message.nested_type):
        _add_message(found, names, (*path, 3, at), name, nested)


def _add_enum(found: Protos, names: Names, path: tuple[int, ...], scope: str, enum: EnumDescriptorProto) -> None:
    names[path] = name = f"{scope}.{enum.name}"
    found.types[name] = enum
    names.update({(*path, 2, index): f"{name}.{value.name}" for index, value in enumerate(enum.value)})
