"""Artifacts as values, and the port through which their bytes are reached.

Invariants: a URI is written once (every attempt has its own random-looking segment, executor.md §10.28); `name` is
unique and deterministic, so recording an artifact twice gives one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from penstock_ir.model import JsonValue


@dataclass(frozen=True, slots=True)
class Artifact:
    """`type` is a schema title (`system.Model`). `uri` may be `file://…`, `s3://…`, …; metadata holds no nulls."""

    name: str
    type: str
    uri: str
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    display_name: str = ""
    schema_version: str = "0.0.1"
    custom_path: str = ""
    workspace: bool = False
    """Imported into the run's workspace: tasks of the run use a copy there (executor.md §3.8)."""
    absent: bool = False
    """The task left nothing at the URI, as metrics do: a cached result does not need an object there."""

    def to_json(self) -> dict[str, JsonValue]:
        """The form in event logs and cache entries; `from_json` is its inverse."""
        document: dict[str, JsonValue] = {"name": self.name, "type": self.type, "uri": self.uri}
        if self.metadata:
            document["metadata"] = dict(self.metadata)
        if self.display_name:
            document["displayName"] = self.display_name
        if self.schema_version != "0.0.1":
            document["schemaVersion"] = self.schema_version
        if self.custom_path:
            document["customPath"] = self.custom_path
        if self.workspace:
            document["workspace"] = True
        if self.absent:
            document["absent"] = True
        return document

    @staticmethod
    def from_json(document: Mapping[str, JsonValue]) -> Artifact:
        metadata = document.get("metadata") or {}
        assert isinstance(metadata, dict)
        return Artifact(
            name=str(document["name"]),
            type=str(document["type"]),
            uri=str(document["uri"]),
            metadata=metadata,
            display_name=str(document.get("displayName", "")),
            schema_version=str(document.get("schemaVersion", "0.0.1")),
            custom_path=str(document.get("customPath", "")),
            workspace=bool(document.get("workspace", False)),
            absent=bool(document.get("absent", False)),
        )


class ArtifactStoreError(Exception):
    """Bytes could not be moved; the text names the URI and what to do. `transient` says whether a retry may help."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class ArtifactStore(Protocol):
    """Moves files and directories between URIs and local paths. Errors: ArtifactStoreError."""

    def local_path(self, uri: str) -> Path | None:
        """The path where the bytes of `uri` already are on this machine (file stores), or None."""
        ...

    async def fetch(self, uri: str, target: Path) -> bool:
        """Copies the object, or everything under the prefix, to `target`. False when there is nothing."""
        ...

    async def upload(self, source: Path, uri: str) -> bool:
        """Copies a file or directory to `uri`. False when `source` does not exist."""
        ...

    async def exists(self, uri: str) -> bool: ...
