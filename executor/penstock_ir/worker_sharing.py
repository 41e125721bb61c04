"""How far tasks may share a worker, a Pod that takes attempts one after another (docs/workers.md).

    kubernetes.add_pod_annotation(task, "penstock.dev/workers", "run")

Why in the lowest layer: a pipeline, a run and a namespace say it in the same words.

Invariants: pure. The words are in their order: who may have more may have everything before it. A wrong annotation is a
problem of the document, with its place; nothing of it is part of the cache key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from penstock_ir.errors import Problem

Sharing = Literal["off", "run", "namespace"]
AskedSharing = Literal["", "off", "run", "namespace"]
"""Empty: nothing is asked."""

SHARING: tuple[Sharing, ...] = ("off", "run", "namespace")
"""off: a Pod for each attempt. run: with tasks of the same run. namespace: with all tasks of the namespace."""
SHARING_WORDS = "off, run or namespace"
WORKERS = "penstock.dev/workers"
"""The annotation of a task."""


def parse_sharing(text: object) -> Sharing | None:
    """None for what is none of the words."""
    return text if text in SHARING else None


def stored_sharing(text: str) -> AskedSharing:
    """What a run asked for, as it was stored with it: what only a later release knows shares nothing."""
    return (parse_sharing(text) or "off") if text else ""


def annotated_sharing(kubernetes: Mapping[str, Any], place: str, problems: list[Problem]) -> AskedSharing:
    """Of an executor's KubernetesExecutorConfig at `place`. Adds to `problems`."""
    metadata = kubernetes.get("podMetadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(annotations, Mapping) or WORKERS not in annotations:
        return ""
    found = parse_sharing(annotations[WORKERS])
    if found is None:
        text = f"{str(annotations[WORKERS])[:40]!r}: expected {SHARING_WORDS}"
        problems.append(Problem(f"{place}.podMetadata.annotations.{WORKERS}", text))
    return found or ""


def at_most(asked: Sharing, allowed: Sharing) -> Sharing:
    """The lesser of both."""
    return min(asked, allowed, key=SHARING.index)
