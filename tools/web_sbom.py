"""What is in the web UI's bundle, as CycloneDX has it: the npm packages of its lock file, without those that build it.

Why npm's own list: the lock file says what is installed, and npm reads it without installing anything. Invariant: the
same lock file gives the same bytes; no host that a package came from is named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_WEB = Path(__file__).resolve().parents[1] / "clients" / "web"
_LIST = ("sbom", "--package-lock-only", "--omit=dev", "--sbom-format=cyclonedx")
# npm's words for where a package lies and whether it may be missing; nothing of that is in a bundle.
_LEFT_OUT = ("externalReferences", "properties", "scope")


def with_web_ui(bom: dict[str, Any]) -> dict[str, Any]:
    """A document whose subject holds the web UI, with that and its packages. Raises CalledProcessError."""
    ours = _listed()
    page = _cleaned({**ours["metadata"]["component"], "type": "application"})
    packages = sorted((_cleaned(one) for one in ours["components"]), key=lambda one: str(one["bom-ref"]))
    about = bom["metadata"]["component"]["bom-ref"]
    dependencies = [
        {**one, "dependsOn": [*one.get("dependsOn", ()), page["bom-ref"]]} if one["ref"] == about else one
        for one in bom["dependencies"]
    ]
    theirs = [
        {"ref": one["ref"], "dependsOn": sorted(one.get("dependsOn", ()))}
        for one in sorted(ours["dependencies"], key=lambda one: str(one["ref"]))
    ]
    return {**bom, "components": [*bom["components"], page, *packages], "dependencies": [*dependencies, *theirs]}


def _listed() -> dict[str, Any]:
    # Node of the development environment first.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(["npm", *_LIST], cwd=_WEB, env={**os.environ, "PATH": path}, capture_output=True, check=True)
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def _cleaned(component: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in component.items() if key not in _LEFT_OUT}
