"""Deterministic names: what makes effects idempotent (docs/architecture.md).

Invariant: a name is a function of (run, path, attempt, port) alone, so whoever carries out an effect again finds what
the first one made. Runs have random ids, hence so have URIs: nothing is ever written twice (executor.md §10.28).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache

from penstock_ir.model import JsonValue
from penstock_ir.run_places import place_segment, run_place

_NAMESPACE = uuid.UUID("6f1d4f8e-3b1c-5d0e-9c55-0a7c51e8a001")
# Ids of attempts are asked for several times while one lives.
_REMEMBERED = 8192
_NO_LABEL = re.compile(r"[^a-z0-9]+")


@lru_cache(_REMEMBERED)
def attempt_id(run_id: str, path: str, attempt: int) -> str:
    """The random-looking segment of an attempt's output URIs."""
    return str(uuid.uuid5(_NAMESPACE, f"{run_id}\n{path}\n{attempt}"))


def pod_name(resource_name: str, task: str, run_id: str, path: str, attempt: int) -> str:
    """At most 63 characters of a DNS label: what people look for first, then what makes it unique."""
    digest = uuid.uuid5(_NAMESPACE, f"pod\n{run_id}\n{path}\n{attempt}").hex[:16]
    words = "-".join(filter(None, (_label(resource_name, 24), _label(task, 20))))
    return f"{words}-{digest}" if words else f"task-{digest}"


def workspace_claim(run_id: str, resource_name: str) -> str:
    """The claim that is a run's workspace; named after the run as upstream's is, and never another run's."""
    digest = uuid.uuid5(_NAMESPACE, f"workspace\n{run_id}").hex[:16]
    return "-".join(filter(None, (_label(resource_name, 30), digest, "kfp-workspace")))


def claim_name(run_id: str, resource_name: str, path: str, attempt: int, length: int) -> str:
    """Of a claim that a task makes, at most `length` characters of a DNS label; what makes it unique is never cut."""
    digest = uuid.uuid5(_NAMESPACE, f"claim\n{run_id}\n{path}\n{attempt}").hex[:12]
    return "-".join(filter(None, (_label(resource_name, max(0, length - len(digest) - 1)), digest)))


def artifact_name(run_id: str, path: str, attempt: int, port: str) -> str:
    """The id of an artifact, a UUID, by what made it."""
    return str(uuid.uuid5(_NAMESPACE, f"{run_id}\n{path}\n{attempt}\n{port}"))


def imported_artifact_name(
    pipeline: str, schema_title: str, uri: str, metadata: Mapping[str, JsonValue], namespace: str
) -> str:
    """The same for equal imports of one pipeline in one namespace, so that they share one artifact (executor.md §3.8).

    Two namespaces never share one: who may see an artifact is decided by the namespace of the run that its name leads
    to. `namespace` is empty where namespaces are not kept apart.
    """
    owner = [namespace] if namespace else []
    text = json.dumps([pipeline, schema_title, uri, metadata, *owner], sort_keys=True, ensure_ascii=False)
    return str(uuid.uuid5(_NAMESPACE, f"import\n{text}"))


def task_root(root: str, pipeline: str, run_id: str, task: str, attempt_segment: str) -> str:
    """`<root>/<pipeline>/<run>/<task>/<uuid>` (executor.md §3.4); names cannot climb out of the root."""
    return "/".join((run_place(root, pipeline, run_id), place_segment(task), attempt_segment))


def log_uri(task_root: str) -> str:
    """Where the log of an attempt is kept (executor.md §3.7)."""
    return f"{task_root}/executor-logs"


def execution_name(run_id: str, path: str) -> str:
    """Name of an execution in ML Metadata; the root's is upstream's (executor.md §2.1)."""
    return f"run/{run_id}/{path}" if path else f"run/{run_id}"


def _label(text: str, length: int) -> str:
    return _NO_LABEL.sub("-", text.lower())[:length].strip("-")
