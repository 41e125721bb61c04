"""Artifacts as values; their bytes are reached through `penstock_store`.

Invariants: a URI is written once (every attempt has its own random-looking segment, executor.md §10.28); `name` is
unique and deterministic, so an artifact that is recorded twice has one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock_ir.model import JsonValue


@dataclass(frozen=True, slots=True)
class Artifact:
    """`type` is a schema title (`system.Model`). `uri` may be `file://…`, `s3://…`, …; metadata holds no nulls.
    `display_name` is the output port of the producing task; a `display_name` in the metadata overrides it.
    """

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
    """The task wrote nothing to the URI, as with metrics: a cached result is valid without an object there."""

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
        """What is not known is left out. Raises KeyError when name, type or URI is missing."""
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
