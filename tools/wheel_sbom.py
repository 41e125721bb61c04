"""Build hook of hatchling: puts the bill of materials that `make build` has written into the wheel (PEP 770).

Why a hook: a file that is named in `sbom-files` has to exist for every build, and an editable installation has none.
It is loaded by its path, from the builds of both distributions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelSbom(BuildHookInterface[Any]):
    """`directory` in the hook's table is where the documents are, from the distribution's own directory."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is written; `version` is `standard` or `editable`."""
        file = Path(self.root) / self.config["directory"] / f"{self.metadata.name}.cdx.json"
        if version == "standard" and file.exists():
            build_data["sbom_files"].append(str(file))
