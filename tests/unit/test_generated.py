"""The committed Python stubs are those of the protos, for whoever changes a proto and forgets `make generate`.

Why beside `tools/generate.py --check`, which compares every byte of all languages: that wants the generators, this only
buf, and takes a second. Invariant: what is compared are descriptors, without comments.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]
PROTOS = sorted(str(path.relative_to(ROOT / "api")) for path in (ROOT / "api" / "penstock_api").rglob("*.proto"))


@pytest.fixture(scope="module")
def of_protos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    """By the file's name."""
    image = tmp_path_factory.mktemp("buf") / "image.binpb"
    buf = Path(sys.executable).parent / "buf"
    subprocess.run([buf, "build", "--exclude-source-info", "-o", image], cwd=ROOT, check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    return {file.name: file for file in files.file}


@pytest.mark.parametrize("proto", PROTOS)
def test_stubs_are_those_of_the_proto(proto: str, of_protos: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    module = importlib.import_module(proto.removesuffix(".proto").replace("/", ".") + "_pb2")
    committed = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(committed)
    assert _lines(committed) == _lines(of_protos[proto]), "run `make generate` and commit what it makes"


def _lines(file: descriptor_pb2.FileDescriptorProto) -> list[str]:
    """Without what only one of the two compilers writes down: names in JSON, which follow from the rest, and notes."""
    file.DiscardUnknownFields()
    for message in file.message_type:
        _without_json_names(message)
    return str(file).splitlines()


def _without_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _without_json_names(nested)
