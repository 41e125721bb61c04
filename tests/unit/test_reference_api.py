"""docs/api is what the protos and the OpenAPI document say, and has all that is public."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from penstock_server.rpc.server import public_services

from tools import reference_grpc, reference_rest

GRPC = reference_grpc.pages()
PAGES = {**GRPC, **reference_rest.pages()}


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_protos_say(path: Path) -> None:
    assert path.read_text("utf-8") == PAGES[path], "run `make reference`"


def test_there_is_no_other_page() -> None:
    assert {*reference_grpc.DIRECTORY.iterdir()} == PAGES.keys()


@pytest.mark.parametrize("service", public_services(), ids=lambda service: service.full_name)
def test_every_method_of_a_public_service_is_described(service: ServiceDescriptor) -> None:
    _, file = reference_grpc.PACKAGES[reference_grpc.package_of(service.full_name)]
    section = GRPC[reference_grpc.DIRECTORY / file].split(f"\n## {service.name}\n")[1].split("\n## ")[0]
    described = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert described == [method.name for method in service.methods]


def test_what_executors_alone_call_is_not_described() -> None:
    assert not [path for path, text in PAGES.items() if "DispatchService" in text or "internal" in text]


@pytest.mark.parametrize("path", GRPC, ids=lambda path: path.name)
def test_each_message_is_described_once(path: Path) -> None:
    assert [one for one, count in Counter(headings(GRPC[path])).items() if count > 1] == []
    own = re.findall(rf"\]\({path.name}#([\w-]+)\)", GRPC[path])
    assert set(own) <= {one.lower().replace(".", "") for one in headings(GRPC[path])}


def test_what_comments_say_is_told_of_services_messages_fields_and_values() -> None:
    page = GRPC[reference_grpc.DIRECTORY / "v2beta1.md"]
    assert "Starts, watches and ends runs." in page
    assert "Ends a run that is not finished; exit tasks still run." in page
    assert re.search(r"### RunOptions\n\nHow a run is executed", page)
    assert re.search(r"\| `plugins_input` \| map of `string` to `google.protobuf.Struct` \| Settings for plugins", page)
    assert re.search(r"\| `pipeline_version_id` \| `string` \| .*one field at most is set. Deprecated. \|", page)
