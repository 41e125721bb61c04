"""The bill of materials of an image, as it is made of an environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools import sbom

BASE = "sha256:" + "a" * 64


def test_an_image_is_its_environment_over_a_base(tmp_path: Path) -> None:
    environment = sbom.of_environment(Path(sys.executable))
    # A few are enough: the validator takes long.
    kept = {one["bom-ref"] for one in environment["components"] if one["name"] in ("click", "penstock", "PyYAML")}
    environment["components"] = [one for one in environment["components"] if one["bom-ref"] in kept]
    environment["dependencies"] = [{"ref": ref} for ref in sorted(kept)]
    file = tmp_path / "image.cdx.json"
    sbom.write(sbom.of_image(environment, "registry.example/penstock:1", BASE), file)
    text = file.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    about = bom["metadata"]["component"]
    assert (about["name"], about["version"]) == ("registry.example/penstock", "1")
    listed = {one["name"]: one["version"] for one in bom["components"]}
    assert listed["base"] == BASE
    assert listed.keys() >= {"base", "click", "penstock", "PyYAML", "web", "react-dom", "elkjs"}
    # They build the web UI, and are not in it.
    assert listed.keys().isdisjoint({"vite", "typescript", "vitest", "pytest"})
    assert "file:" not in text
    assert "http" not in json.dumps([one for one in bom["components"] if str(one.get("purl")).startswith("pkg:npm/")])
    needs = {one["ref"]: one.get("dependsOn", []) for one in bom["dependencies"]}
    (page,) = (ref for ref in needs["image"] if ref.startswith("@penstock/web@"))
    assert any(ref.startswith("react-dom@") for ref in needs[page])
