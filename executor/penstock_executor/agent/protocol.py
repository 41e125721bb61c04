"""The messages between executor, agent and wrapper (docs/pods.md).

Invariants: plain JSON, simple enough for the wrapper in C; a field may be added with a default, never renamed, since
the Pods of one release are read by executors of the next. No message holds a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SHARE = "/penstock/share"
"""The directory of the Pod's emptyDir through which wrapper and agent exchange files."""

WRAPPER_DIR = "/penstock/bin"
MESSAGE_BYTES = 4096
"""Kubernetes keeps no more of a container's termination message."""

FRAME_MARK = "::penstock-result"
FRAME_LINE_BYTES = 4096
"""The longest line of a frame, its end included: a pipe takes it at once and a log keeps it whole."""

RESULT_OBJECT = ".penstock-result.json"


@dataclass(frozen=True, slots=True)
class Transfer:
    """`path` is where the bytes of `uri` are in the Pod. `keep`: do not fetch when `path` exists already. `link`: a
    symbolic link to `path` that is made besides, empty for none.
    """

    uri: str
    path: str
    keep: bool = False
    link: str = ""


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

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> AgentTask:
        document = json.loads(text)
        document["inputs"] = tuple(Transfer(**transfer) for transfer in document.get("inputs", ()))
        document["outputs"] = {port: Transfer(**transfer) for port, transfer in document.get("outputs", {}).items()}
        return AgentTask(**document)


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


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of an attempt. `exit` None: the program's container was killed before the wrapper wrote one (OOM kill,
    eviction), or it has no wrapper and only the Pod's status says how it ended.

    Outputs are those of a program that ended well. `parameters` holds the texts of the files that were written, None
    for one that is no UTF-8; `metadata` the text of output_metadata.json; `stored` the URIs at which an object lies.
    `failure` is (kind of `FailureKind`, text) of what wrapper or agent failed to do.
    """

    exit: ProcessExit | None
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    metadata: str | None = None
    stored: tuple[str, ...] = ()
    log_stored: bool = False
    failure: tuple[str, str] | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> AttemptResult:
        """Raises ValueError, TypeError or KeyError when `text` is not an AttemptResult."""
        document = json.loads(text)
        exit_ = document.get("exit")
        failure = document.get("failure")
        return AttemptResult(
            exit=None if exit_ is None else ProcessExit(**exit_),
            parameters=document.get("parameters") or {},
            metadata=document.get("metadata"),
            stored=tuple(document.get("stored") or ()),
            log_stored=bool(document.get("log_stored")),
            failure=None if failure is None else (str(failure[0]), str(failure[1])),
        )
