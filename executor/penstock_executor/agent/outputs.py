"""Which files of a task are its outputs, and where they are to lie (docs/pods.md, executor.md §3.4).

Invariants: pure but for looking at files. Nothing is read through a link that leads out of the directories that task
and agent share: the agent may read what the task may not, its credentials among it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_executor.agent.failures import USER, AgentError
from penstock_executor.agent.protocol import AgentTask, Transfer
from penstock_executor.pod_paths import SHARED, is_moved, local_form, stored_uri


@dataclass(frozen=True, slots=True)
class Upload:
    """`chosen`: the task named the URI itself, and may have put something there by its own means. `replaces`: it may
    name one for all its runs; where runs keep their artifacts nothing is overwritten.
    """

    port: str
    source: str
    uri: str
    chosen: bool = False
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """`stored`: the URIs at which something lies now. `failure` is the first, of artifacts only: the executor archives
    a log that is not kept here.
    """

    stored: tuple[str, ...] = ()
    log_stored: bool = False
    failure: AgentError | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the Pod's places are (`/` but in tests), and the share, which holds copies of custom paths."""

    root: Path
    share: Path

    def path(self, place: str) -> str:
        return str(self.root) + place if self.root != Path("/") else place

    def checked(self, path: str, what: str) -> Path:
        """`path` with its links followed. Raises AgentError for one that leads out of the shared directories."""
        real = os.path.realpath(path)
        shared = [os.path.realpath(self.path(place)) for place in SHARED] + [os.path.realpath(self.share)]
        if not any(f"{real}/".startswith(f"{directory}/") for directory in shared):
            text = f"{what} cannot be read: {path} leads to {real}, which is none of the task's directories"
            raise AgentError(USER, text)
        return Path(real)

    def custom(self, path: str) -> str:
        """Where to read what the task left at a path of its own: the wrapper's copy, or the place if it is shared."""
        copy = self.share / "custom" / fnv64(path.encode("utf-8", "surrogatepass"))
        return str(copy) if copy.exists() else self.path(path)


def plan(task: AgentTask, metadata: str | None, where: Surroundings) -> list[Upload]:
    """One for each artifact; a URI once. What output_metadata.json (`metadata`) says of a port wins."""
    found: dict[str, Upload] = {}
    said = _ports(metadata)
    for port, declared in task.outputs.items():
        for upload in _uploads(port, declared, said.get(port), where, _root(task)):
            found.setdefault(upload.uri, upload)
    return list(found.values())


def fnv64(data: bytes) -> str:
    """The name of a path's copy: the 64 bits of FNV-1a, as the wrapper has it."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def _root(task: AgentTask) -> str:
    """Below which runs keep their artifacts: a task's own root is `<root>/<pipeline>/<run>/<task>/<uuid>`."""
    return task.task_root.rsplit("/", 4)[0]


def _ports(metadata: str | None) -> Mapping[str, Any]:
    # What is wrong with the document is for the executor to say.
    try:
        document = json.loads(metadata.removeprefix("\ufeff")) if metadata is not None else {}
    except (ValueError, RecursionError):
        return {}
    ports = document.get("artifacts") if isinstance(document, dict) else None
    return ports if isinstance(ports, dict) else {}


def _uploads(port: str, declared: Transfer, said: Any, where: Surroundings, root: str) -> Iterator[Upload]:
    entries = said.get("artifacts") if isinstance(said, dict) else None
    if not isinstance(entries, list) or not entries:
        entries = [{}]
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        shown = entry.get("uri")
        uri = stored_uri(shown) if isinstance(shown, str) and shown else declared.uri
        if not is_moved(uri):
            continue
        custom = entry.get("customPath", entry.get("custom_path"))
        if isinstance(custom, str) and custom:
            source = where.custom(custom)
        elif uri == declared.uri:
            source = declared.path
        else:
            source = where.path(local_form(uri) or "")
        chosen = uri != declared.uri
        yield Upload(port, source, uri, chosen=chosen, replaces=chosen and not uri.startswith(f"{root}/"))
