"""The wheels as `make build` makes them: the same bytes from the same sources, each with its bill of materials.

Why twice in two places: a path, a time or an order of the file system that gets in would make two builds differ.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools import sbom

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "server", "executor", "clients/python", "tools")
LOCK = ("clients/web/package.json", "clients/web/package-lock.json")


def _build(directory: Path) -> dict[str, bytes]:
    for name in (*SOURCES, *LOCK):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, directory / name)
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "build", "--quiet", "--all-packages", "--wheel", "--no-build-isolation", "--offline"]
    subprocess.run([sys.executable, "-m", "tools.sbom", "build/sbom"], cwd=directory, check=True)
    subprocess.run([*command, "--python", sys.executable], cwd=directory, check=True)
    return {wheel.name: wheel.read_bytes() for wheel in (directory / "dist").glob("*.whl")}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("first")
    _build(directory)
    return directory / "dist"


def test_two_builds_give_the_same_bytes(wheels: Path, tmp_path: Path) -> None:
    first = {wheel.name: wheel.read_bytes() for wheel in wheels.glob("*.whl")}
    assert len(first) == 2
    assert _build(tmp_path / "second") == first


@pytest.mark.parametrize("name", sbom.WHEELS)
def test_a_wheel_holds_a_valid_bill_of_materials(wheels: Path, name: str) -> None:
    (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [one for one in archive.namelist() if ".dist-info/sboms/" in one]
        text = archive.read(member).decode()
    assert member.endswith(f"/{name}.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert bom["metadata"]["component"]["purl"] == f"pkg:pypi/{name}@{version(name)}"
    names = {one["name"] for one in bom["components"]}
    assert "grpcio" in names
    assert ("react-dom" in names) == (name == "penstock")
    # Of the environment's tools none is needed to run it.
    assert names.isdisjoint({"pytest", "ruff", "cyclonedx-bom"})
