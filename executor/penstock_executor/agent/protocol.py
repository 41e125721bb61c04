"""The messages between executor, agent and wrapper (docs/pods.md).

Invariants: plain JSON, simple enough for the wrapper in C; a field may be added with a default, never renamed, since
the Pods of one release are read by executors of the next. No message holds a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SHARE = "/penstock/share"
"""The directory of the Pod's emptyDir through which wrapper and agent exchange files."""

SESSIONS = "/penstock/sessions"
"""Where the agent alone finds temporary credentials of stores, a file for each of them."""

WORKER_SOCKET = "/tmp/penstock-worker.sock"  # noqa: S108 - in the agent's own container
"""Over which the agent of a warm worker is given attempts."""

WRAPPER_DIR = "/penstock/bin"
WRAPPER_FAILED = 125
"""The wrapper's exit code for failures of its own."""

MESSAGE_BYTES = 4096
"""Kubernetes keeps no more of a container's termination message."""

FRAME_MARK = "::penstock-result"
FRAME_LINE_BYTES = 4096
"""The longest line of a frame, its end included: a pipe takes it at once and a log keeps it whole."""

RESULT_OBJECT = ".penstock-result.json"
MAX_RESULT_BYTES = 100 * 1024 * 1024
"""No more of a result is read: it is held in memory, and the server takes no longer message."""

_EXIT_RANGES = {"code": range(256), "signal": range(128), "errno": range(4096), "log_bytes": range(2**63)}
"""What the wrapper can have written. Times are compared with clocks by who reads them."""
_EXIT_TEXTS = ("command", "reason")
_EXIT_TIMES = ("started_at", "finished_at")


@dataclass(frozen=True, slots=True)
class Transfer:
    """`path` is where the bytes of `uri` are in the Pod. `keep`: do not fetch when `path` exists already. `link`: a
    symbolic link to `path` that is made besides, empty for none.
    """

    uri: str
    path: str
    keep: bool = False
    link: str = ""

    def to_document(self) -> dict[str, Any]:
        return {"uri": self.uri, "path": self.path, "keep": self.keep, "link": self.link}


@dataclass(frozen=True, slots=True)
class AgentTask:
    """The agent's instructions. `store` is `penstock_store`'s configuration without credentials; those come from the
    container's environment. `timeout` in seconds bounds each transfer.
    """

    task_root: str
    inputs: tuple[Transfer, ...] = ()
    outputs: Mapping[str, Transfer] = field(default_factory=dict)
    """By port; what output_metadata.json says of a port wins over this."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Output parameter to the file in which the task leaves it."""
    metadata: str = ""
    """Path of output_metadata.json."""
    log: str = ""
    """Path of the log that the wrapper keeps; archived as `<task_root>/executor-logs`."""
    store: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 3600.0
    places: tuple[str, ...] | None = None
    """Patterns of where artifacts may be stored whose URI the task chose, besides below its run's root; None: anywhere
    that the credentials reach."""
    tail: bool = False
    """Whether the result is to have the log's end, when the program did not end well."""

    def to_document(self) -> dict[str, Any]:
        """What is JSON as it is. Not by `asdict`, whose copies an executor makes for every attempt of a worker."""
        document: dict[str, Any] = {name: getattr(self, name) for name in _TASK_FIELDS}
        document["inputs"] = [one.to_document() for one in self.inputs]
        document["outputs"] = {port: one.to_document() for port, one in self.outputs.items()}
        if not self.tail:
            # Agents of former releases do not know it, and take what they know.
            del document["tail"]
        return document

    def to_json(self) -> str:
        return json.dumps(self.to_document(), separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> AgentTask:
        document = json.loads(text)
        document["inputs"] = tuple(Transfer(**transfer) for transfer in document.get("inputs", ()))
        document["outputs"] = {port: Transfer(**transfer) for port, transfer in document.get("outputs", {}).items()}
        if document.get("places") is not None:
            document["places"] = tuple(document["places"])
        return AgentTask(**document)


_TASK_FIELDS = tuple(one.name for one in fields(AgentTask))


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How the user's program ended. `signal` 0: it was not killed by one. `errno` not 0: `command` could not be
    started. `reason`: what the wrapper itself could not do; with code 125 the program never ran. Times are milliseconds
    since the epoch. `log_bytes` is how much stdout and stderr came to, where the wrapper copied them.
    """

    code: int
    signal: int = 0
    errno: int = 0
    command: str = ""
    started_at: int = 0
    finished_at: int = 0
    reason: str = ""
    log_bytes: int = 0

    @property
    def ran(self) -> bool:
        """Whether the program began."""
        return not self.errno and not (self.reason and self.code == WRAPPER_FAILED)

    @staticmethod
    def checked(document: Any) -> ProcessExit | None:
        """From JSON that the user's program could have written; None for what the wrapper cannot have."""
        if not isinstance(document, dict) or "code" not in document:
            return None
        for name, value in document.items():
            # A boolean is an int, too.
            if name in _EXIT_TEXTS:
                fits = isinstance(value, str)
            elif name in _EXIT_TIMES:
                fits = type(value) is int
            else:
                fits = type(value) is int and value in _EXIT_RANGES.get(name, ())
            if not fits:
                return None
        return ProcessExit(**document)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of an attempt. `exit` None: the program's container was killed before the wrapper wrote one (OOM kill,
    eviction), or it has no wrapper and only the Pod's status says how it ended.

    Outputs are those of a program that ended well. `parameters` holds the texts of the files that were written, None
    for one that is no UTF-8; `metadata` the text of output_metadata.json; `stored` the URIs at which an object lies.
    `failure` is (kind of `FailureKind`, text) of what wrapper or agent failed to do. `fetched_at` is when the inputs
    were there, `stored_at` when outputs and log were stored, in milliseconds since the epoch: 0 when there were none,
    when that failed, and from a release that does not tell. `tail` is the end of the log, where it was asked for.
    """

    exit: ProcessExit | None
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    metadata: str | None = None
    stored: tuple[str, ...] = ()
    log_stored: bool = False
    failure: tuple[str, str] | None = None
    fetched_at: int = 0
    stored_at: int = 0
    tail: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> AttemptResult:
        """Raises ValueError, TypeError or KeyError when `text` is not an AttemptResult."""
        return AttemptResult.from_document(json.loads(text))

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> AttemptResult:
        """Raises TypeError or KeyError when `document` is not an AttemptResult."""
        exit_ = document.get("exit")
        failure = document.get("failure")
        return AttemptResult(
            exit=None if exit_ is None else ProcessExit(**exit_),
            parameters=document.get("parameters") or {},
            metadata=document.get("metadata"),
            stored=tuple(document.get("stored") or ()),
            log_stored=bool(document.get("log_stored")),
            failure=None if failure is None else (str(failure[0]), str(failure[1])),
            fetched_at=document.get("fetched_at", 0),
            stored_at=document.get("stored_at", 0),
            tail=str(document.get("tail") or ""),
        )
