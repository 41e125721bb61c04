"""Bills of materials in CycloneDX's JSON: of an environment, of one distribution in it, of an image.

Why: who installs Penstock can ask what is in it, and compare that with lists of vulnerabilities, without installing it.
cyclonedx-bom reads the environment; here only what the distribution needs is kept. Invariants: the same environment
gives the same bytes, without a time, a random number or a path of the machine. Tests hold what comes out against the
schema: that takes seconds.

Example: python -m tools.sbom build/sbom
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.web_sbom import with_web_ui

WHEELS = ("penstock", "penstock-client")
_WITH_WEB_UI = "penstock"
Bom = dict[str, Any]


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    environment = of_environment(Path(sys.executable))
    for name in WHEELS:
        bom = of_distribution(environment, name)
        write(with_web_ui(bom) if name == _WITH_WEB_UI else bom, directory / f"{name}.cdx.json")


def of_environment(python: Path, variables: Mapping[str, str] | None = None) -> Bom:
    """All that is installed where `python` runs with `variables` besides those of this program.

    Raises CalledProcessError.
    """
    program = Path(sys.executable).with_name("cyclonedx-py")
    command = [
        str(program),
        "environment",
        "--output-reproducible",
        "--spec-version",
        "1.6",
        "--no-validate",
        str(python),
    ]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **(variables or {})})
    bom: Bom = json.loads(done.stdout)
    return bom


def of_distribution(environment: Bom, name: str) -> Bom:
    """The distribution `name` of this program's environment as what the document is about, with all that it needs.

    What belongs to extras that nobody asks for is left out. Versions are those of the environment, hence of the lock; a
    wheel allows others, which the document says. Raises PackageNotFoundError.
    """
    needs = _needs(name)
    components = {
        str(canonicalize_name(one["name"])): one
        for one in environment["components"]
        if canonicalize_name(one["name"]) in needs
    }
    about = components.pop(canonicalize_name(name))
    metadata = environment["metadata"]
    return {
        **environment,
        "metadata": {
            **metadata,
            "component": _cleaned(about),
            "properties": [*metadata.get("properties", ()), _VERSIONS],
        },
        "components": [_cleaned(one) for _, one in sorted(components.items())],
        "dependencies": [
            {"ref": one["bom-ref"], "dependsOn": sorted(components[need]["bom-ref"] for need in needs[key])}
            for key, one in sorted({**components, canonicalize_name(name): about}.items())
        ],
    }


def of_image(environment: Bom, name: str, base: str) -> Bom:
    """An image `name` with all that its environment holds, over a base with the digest `base`.

    The packages of the base's own distribution are not listed. Raises CalledProcessError.
    """
    image, _, version = name.rpartition(":")
    about = {"type": "container", "bom-ref": "image", "name": image, "version": version}
    below = {"type": "container", "bom-ref": "base", "name": "base", "version": base}
    packages = [_cleaned(one) for one in environment["components"]]
    contents = {"ref": "image", "dependsOn": ["base", *sorted(one["bom-ref"] for one in packages)]}
    image_alone = {
        **environment,
        "metadata": {**environment["metadata"], "component": about},
        "components": [below, *packages],
        "dependencies": [contents, {"ref": "base"}, *environment["dependencies"]],
    }
    return with_web_ui(image_alone)


def _needs(name: str) -> dict[str, set[str]]:
    """What each distribution needs that `name` needs, however far, in this program's environment."""
    needs: dict[str, set[str]] = {}
    ahead, seen = [(canonicalize_name(name), "")], set[tuple[str, str]]()
    while ahead:
        one, extra = ahead.pop()
        if (one, extra) in seen:
            continue
        seen.add((one, extra))
        found = needs.setdefault(one, set())
        for text in importlib.metadata.requires(one) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                found.add(needed)
                ahead += [(needed, ""), *((needed, option) for option in requirement.extras)]
    return needs


def write(bom: Bom, file: Path) -> None:
    file.write_text(json.dumps(bom, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


_VERSIONS = {
    "name": "penstock:versions",
    "value": "those that this was built and tested with (requirements.lock); the wheel's metadata allows others",
}


def _cleaned(component: Bom) -> Bom:
    """Without the place on this machine that an editable installation has; with a package URL where that took it."""
    kept = [one for one in component.get("externalReferences", ()) if not one["url"].startswith("file:")]
    cleaned = {key: value for key, value in component.items() if key != "externalReferences"}
    if kept:
        cleaned["externalReferences"] = kept
    return {"purl": f"pkg:pypi/{component['name']}@{component['version']}", **cleaned}


if __name__ == "__main__":
    main()
