"""Settings of pip are passed to uv, or the packages are installed with pip."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from penstock_executor.backends.local.pip_settings import of_installations

FILE = """
[global]
index-url = https://one.example/simple
timeout = 60
[install]
index_url = https://two.example/simple
find-links =
    /somewhere
    /elsewhere
[list]
format = columns
"""


def test_files_of_pip_hold_and_variables_outweigh_them(tmp_path: Path) -> None:
    (file := tmp_path / "pip.conf").write_text(FILE)
    found = of_installations({"PIP_CONFIG_FILE": str(file)})
    assert found is not None
    assert found["PIP_INDEX_URL"] == "https://two.example/simple"
    assert found["PIP_FIND_LINKS"].split() == ["/somewhere", "/elsewhere"]
    outweighed = of_installations({"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://three.example/simple"})
    assert outweighed == {**found, "PIP_INDEX_URL": "https://three.example/simple"}


def test_files_of_the_machine_are_those_that_pip_reads(tmp_path: Path) -> None:
    for name in ("first", "last"):
        (tmp_path / name / "pip").mkdir(parents=True)
        (tmp_path / name / "pip" / "pip.conf").write_text(f"[global]\nindex-url = https://{name}.example/simple\n")
    (named := tmp_path / "named.conf").write_text("[global]\nextra-index-url = https://more.example/simple\n")
    places = os.pathsep.join(str(tmp_path / name) for name in ("first", "last"))
    variables = {"XDG_CONFIG_DIRS": places, "PIP_CONFIG_FILE": str(named), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=variables).stdout.splitlines()
    listed = dict(line.removeprefix("global.").split("=", 1) for line in said if line.startswith("global."))
    assert listed.keys() >= {"index-url", "extra-index-url"}
    found = of_installations(variables)
    assert found is not None
    assert found["PIP_INDEX_URL"] == listed["index-url"].strip("'")
    assert found["PIP_EXTRA_INDEX_URL"] == listed["extra-index-url"].strip("'")


def test_no_file_when_none_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text(FILE)
    assert of_installations({"XDG_CONFIG_DIRS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}) == {}


@pytest.mark.parametrize("name", ["PIP_PRE", "PIP_CONSTRAINT", "PIP_NO_BINARY", "PIP_TARGET", "PIP_OF_NEXT_YEAR"])
def test_what_uv_is_not_told_is_for_pip(tmp_path: Path, name: str) -> None:
    assert of_installations({name: "1"}) is None
    assert of_installations({name: ""}) == of_installations({})
    (file := tmp_path / "pip.conf").write_text(f"[install]\n{name[4:].lower().replace('_', '-')} = 1\n")
    assert of_installations({"PIP_CONFIG_FILE": str(file)}) is None


@pytest.mark.parametrize("content", [b"index-url = https://one.example", b"[global]\nindex-url = \xff"])
def test_a_file_that_cannot_be_read_is_for_pip(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "pip.conf").write_bytes(content)
    assert of_installations({"PIP_CONFIG_FILE": str(file)}) is None


@pytest.mark.parametrize(("value", "without"), [("1", True), ("true", True), ("0", False), ("False", False)])
def test_without_an_index(value: str, without: bool) -> None:
    found = of_installations({"PIP_NO_INDEX": value, "PIP_CONFIG_FILE": os.devnull})
    assert found == ({"PIP_NO_INDEX": value} if without else {})


def index(file: Path) -> str | None:
    """The index that a file of pip names; None when pip alone can follow it."""
    found = of_installations({"PIP_CONFIG_FILE": str(file)})
    return None if found is None else found.get("PIP_INDEX_URL", "")


@pytest.mark.parametrize("age_seconds", [0, 3600])
def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path, age_seconds: int) -> None:
    """Also when it has the size and the time that it had before."""
    file = tmp_path / "pip.conf"
    at = time.time() - age_seconds
    for name in ("one", "two", "six"):
        file.write_text(f"[global]\nindex-url = https://{name}.example/simple\n")
        os.utime(file, (at, at))
        assert [index(file) for _ in range(3)] == [f"https://{name}.example/simple"] * 3
    file.write_text("no section")
    assert index(file) is None
    file.unlink()
    assert index(file) == ""


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://one.example/simple\n")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    assert index(file) == "https://one.example/simple"
    monkeypatch.setattr(Path, "read_text", None)
    assert index(file) == "https://one.example/simple"
