"""Which files of a task are its outputs, and to which URIs they are uploaded (docs/pods.md, executor.md §3.4).

Invariants: pure, except that it asks which files exist. No link is followed out of the directories that task and agent
share: the agent may read files that the task may not, such as its own credentials.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_executor.agent.failures import USER, AgentError
from penstock_executor.agent.protocol import AgentTask, Transfer
from penstock_executor.name_patterns import matches_any
from penstock_executor.pod_paths import SHARED, is_moved, local_form, stored_uri


@dataclass(frozen=True, slots=True)
class Upload:
    """`chosen`: the task named the URI itself, and may have stored something there without the agent. `replaces`: an
    object at the URI is overwritten, which is allowed outside of the root under which runs keep their artifacts.
    `refused`: the namespace's lists do not let the task store anything there.
    """

    port: str
    source: str
    uri: str
    chosen: bool = False
    replaces: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class UploadResult:
    """`stored`: the URIs at which there is an object now. `failure`: the first one, of artifacts only: a log that
    could not be uploaded is archived by the executor.
    """

    stored: tuple[str, ...] = ()
    log_stored: bool = False
    failure: AgentError | None = None


@dataclass(frozen=True, slots=True)
class PodFiles:
    """Paths of the Pod below `root` (`/` except in tests), and `share`, which holds copies of custom paths."""

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
        """Where to read an output at a custom path: the wrapper's copy if there is one, else the path itself."""
        copy = self.share / "custom" / fnv64(path.encode("utf-8", "surrogatepass"))
        return str(copy) if copy.exists() else self.path(path)


def plan_uploads(task: AgentTask, metadata: str | None, where: PodFiles) -> list[Upload]:
    """One upload for each artifact, one per URI. output_metadata.json (`metadata`) overrides the declared ports."""
    uploads: dict[str, Upload] = {}
    written_ports = _written_artifacts(metadata)
    for port, declared in task.outputs.items():
        for upload in _uploads(port, declared, written_ports.get(port), where, task):
            uploads.setdefault(upload.uri, upload)
    return list(uploads.values())


def fnv64(data: bytes) -> str:
    """The name of the copy of a custom path: 64-bit FNV-1a in hexadecimal, as in run.c."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def _root(task: AgentTask) -> str:
    """The root under which all runs keep their artifacts; `task_root` is `<root>/<pipeline>/<run>/<task>/<uuid>`."""
    return task.task_root.rsplit("/", 4)[0]


def _written_artifacts(metadata: str | None) -> Mapping[str, Any]:
    # The executor reads the same text and reports what is wrong with it.
    try:
        document = json.loads(metadata.removeprefix("\ufeff")) if metadata is not None else {}
    except (ValueError, RecursionError):
        return {}
    ports = document.get("artifacts") if isinstance(document, dict) else None
    return ports if isinstance(ports, dict) else {}


def _uploads(port: str, declared: Transfer, written: Any, where: PodFiles, task: AgentTask) -> Iterator[Upload]:
    root = _root(task)
    entries = written.get("artifacts") if isinstance(written, dict) else None
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
        outside = chosen and not uri.startswith(f"{root}/")
        refused = outside and task.places is not None and not _is_listed(task.places, uri)
        yield Upload(port, source, uri, chosen=chosen, replaces=outside, refused=refused)


def _is_listed(places: Sequence[str], uri: str) -> bool:
    return ".." not in uri.split("/") and matches_any(places, uri)
