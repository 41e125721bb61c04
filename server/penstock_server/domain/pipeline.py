"""Pipelines and their versions (api.md §2.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pipeline:
    pipeline_id: str
    name: str
    display_name: str
    description: str
    namespace: str
    created_at: int
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spec:
    """A pipeline document; `spec_hash` is that of its canonical text, `platform_spec` is empty if there is none."""

    spec_hash: str
    pipeline_spec: str
    platform_spec: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A document that came with a request and was found valid; `text` is how it was sent, as JSON."""

    text: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class PipelineVersion:
    pipeline_version_id: str
    pipeline_id: str
    name: str
    display_name: str
    description: str
    created_at: int
    spec: Spec
    package_url: str = ""
    code_source_url: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
