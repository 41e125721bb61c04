"""What the check of locks and licences refuses, and that it accepts what is committed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools import audit

ROOT = Path(__file__).resolve().parents[3]
HASH = "--hash=sha256:" + "a" * 64
DIGEST = "docker.io/library/python:3.11-slim@sha256:" + "b" * 64


def test_the_committed_locks_have_what_they_should() -> None:
    assert [*audit.python_lock((ROOT / "requirements.lock").read_text())] == []
    for package in ("typescript", "web"):
        assert [*audit.npm_lock(json.loads((ROOT / f"clients/{package}/package-lock.json").read_text()))] == []
    assert [*audit.go_sums((ROOT / "clients/go/go.mod").read_text(), (ROOT / "clients/go/go.sum").read_text())] == []
    texts = ((ROOT / "deploy" / name).read_text() for name in ("Dockerfile", "compose.yaml"))
    assert [*audit.base_image(*texts)] == []


@pytest.mark.parametrize(
    "line",
    [
        "one==1",
        "one>=1 " + HASH,
        f"one @ https://example.com/one.whl {HASH}",
        "one @ git+https://example.com/one",
        "-e ./one",
        "--extra-index-url https://example.com/simple",
        "one==1 --hash=md5:" + "a" * 32,
    ],
)
def test_what_is_no_version_with_hashes_is_refused(line: str) -> None:
    assert len([*audit.python_lock(f"two==1 \\\n    {HASH} \\\n    {HASH}\n    # via one\n{line}\n")]) == 1


def test_a_pin_may_be_for_some_pythons() -> None:
    assert [*audit.python_lock(f"one==1.0.post1 ; python_full_version < '3.11' \\\n    {HASH}\n")] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"integrity": None}, "no SHA-512"),
        ({"integrity": "sha1-aaaa"}, "no SHA-512"),
        ({"resolved": "git+ssh://example.com/one"}, "names where"),
        ({"license": "SSPL-1.0"}, "SSPL-1.0"),
        ({"license": None}, "nothing that it says"),
    ],
)
def test_an_npm_package_without_hash_or_licence_is_refused(change: dict[str, str | None], told: str) -> None:
    package: dict[str, Any] = {"integrity": "sha512-aaaa", "license": "MIT", **change}
    kept = {key: value for key, value in package.items() if value is not None}
    (problem,) = audit.npm_lock({"packages": {"": {}, "node_modules/one": kept}})
    assert told in problem


def test_a_go_module_needs_a_hash_and_a_licence_and_no_replacement() -> None:
    modules = "module m\n\nrequire (\n\tgoogle.golang.org/grpc v1.0.0\n\texample.com/one v1.0.0 // indirect\n)\n"
    sums = "google.golang.org/grpc v1.0.0/go.mod h1:x=\nexample.com/one v1.0.0 h1:x=\n"
    assert len([*audit.go_sums(modules, sums)]) == 2
    assert len([*audit.go_sums(f"{modules}\nreplace example.com/one => ../one\n", sums)]) == 3


def test_the_base_image_has_a_digest_and_is_one() -> None:
    assert [*audit.base_image(f"ARG BASE={DIGEST}\n", f"BASE: ${{PENSTOCK_BASE:-{DIGEST}}}")] == []
    assert len([*audit.base_image("ARG BASE=python:3.11\n", "BASE: ${PENSTOCK_BASE:-python:3.11}")]) == 1
    assert len([*audit.base_image(f"ARG BASE={DIGEST}\n", "BASE: ${PENSTOCK_BASE:-python:3.11}")]) == 1


def _component(name: str, *said: str) -> dict[str, Any]:
    names = [{"license": {"name": one}} if "::" in one else {"expression": one} for one in said]
    return {"name": name, "version": "1", "licenses": names}


@pytest.mark.parametrize(
    "said",
    [
        ["MIT"], ["Apache-2.0 OR GPL-3.0-only"], ["Apache-2.0 AND (MIT OR GPL-2.0-only)"],
        ["License :: OSI Approved :: BSD License"], ["MIT", "License :: DFSG approved"],
    ],
)  # fmt: skip
def test_a_licence_of_the_list_is_enough(said: list[str]) -> None:
    assert [*audit.licences({"components": [_component("one", *said)]})] == []


@pytest.mark.parametrize(
    "said", [[], ["GPL-3.0-only"], ["MIT AND GPL-3.0-only"], ["License :: Other/Proprietary License"]]
)
def test_an_unknown_licence_is_an_error_that_names_the_package(said: list[str]) -> None:
    (problem,) = audit.licences({"components": [_component("one", *said)]})
    assert problem.startswith("one 1 is under ")


def test_a_licence_that_is_allowed_for_one_npm_package_is_not_for_another() -> None:
    package = {"integrity": "sha512-aaaa", "license": audit.NPM_PACKAGES["node_modules/elkjs"]}
    assert [*audit.npm_lock({"packages": {"node_modules/elkjs": package}})] == []
    assert len([*audit.npm_lock({"packages": {"node_modules/one": package}})]) == 1
    assert len([*audit.npm_lock({"packages": {"node_modules/elkjs": {**package, "license": "SSPL-1.0"}}})]) == 1
