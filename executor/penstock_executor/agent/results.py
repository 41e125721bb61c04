"""What an attempt in a Pod left, read by the executor: termination messages, frames in logs, outputs (docs/pods.md).

Invariants: pure. The user's program could have written any of it, so input of the wrong shape is expected: it is read
as None and never raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Union

from penstock_ir.event_log import FailureKind

from penstock_executor.agent.protocol import (
    FRAME_LINE_BYTES,
    FRAME_MARK,
    MAX_RESULT_BYTES,
    AttemptResult,
    ProcessExit,
)
from penstock_executor.artifacts.output_files import NoTextError, NotWrittenError
from penstock_executor.artifacts.outputs import CollectedOutputs, interpret_outputs
from penstock_executor.attempts import TaskLaunch
from penstock_executor.pod_paths import is_moved, stored_uri

_KINDS = {kind.value for kind in FailureKind}
_TOKEN = re.compile(r"[0-9A-Za-z-]{1,64}")
_INT64 = range(2**63)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """An AttemptResult of `size` bytes is stored at `uri`."""

    uri: str
    size: int


@dataclass(frozen=True, slots=True)
class FramedResult:
    """An AttemptResult of `size` bytes at the end of the log of the container `main`, marked with `token`, behind
    `log_bytes` bytes that the program wrote.
    """

    token: str
    size: int
    log_bytes: int = 0

    @property
    def lines(self) -> int:
        """How many lines the frame has at most."""
        piece = FRAME_LINE_BYTES - len(f"{FRAME_MARK} {self.token}:\n".encode()) - 3
        return 2 + math.ceil(self.size / max(1, piece))


def parse_message(text: str) -> Union[AttemptResult, StoredResult, FramedResult, None]:
    """The result that a termination message holds or points to; None when neither wrapper nor agent wrote it."""
    document = _object(text)
    if document is None:
        return None
    size = document.get("bytes")
    if not isinstance(size, int) or "exit" in document:
        return _result(document)
    if not 0 <= size <= MAX_RESULT_BYTES:
        return None
    if isinstance(document.get("frame"), str) and _TOKEN.fullmatch(document["frame"]):
        written = document.get("log_bytes")
        return FramedResult(document["frame"], size, written if isinstance(written, int) and written in _INT64 else 0)
    if isinstance(document.get("stored"), str):
        return StoredResult(document["stored"], size)
    return None


def log_bytes_of(message: str) -> int:
    """The size of the program's log in bytes, from a wrapper's termination message; 0 when the message has none."""
    parsed = parse_message(message)
    if isinstance(parsed, FramedResult):
        return parsed.log_bytes
    return parsed.exit.log_bytes if isinstance(parsed, AttemptResult) and parsed.exit is not None else 0


def parse_result(text: str | bytes) -> AttemptResult | None:
    """Parses the JSON of a termination message, a frame or a stored result; None when it has the wrong shape."""
    document = _object(text)
    return None if document is None else _result(document)


def find_frame(log_tail: bytes, token: str) -> bytes | None:
    """The content of the last frame with the token; None when there is no such frame, or not all of it.

    Output of other processes may stand between the lines of the frame, or before them on the same line.
    """
    mark = re.escape(f"{FRAME_MARK} {token}".encode())
    headers = list(re.finditer(mark + rb" (\d{1,12})(?:\n|$)", log_tail))
    if not headers:
        return None
    size = int(headers[-1].group(1))
    content = b"".join(re.findall(mark + rb":([^\n]*)", log_tail[headers[-1].end() :]))
    return content if len(content) == size else None


def without_frame(log: bytes, token: str) -> bytes:
    """The log without the frame: what the program itself wrote."""
    if FRAME_MARK.encode() not in log:
        return log
    mark = re.escape(f"{FRAME_MARK} {token}".encode())
    return re.sub(mark + rb":[^\n]*(?:\n|$)", b"", re.sub(rb"\n?" + mark + rb" \d{1,12}(?:\n|$)", b"", log))


def outputs_of(launch: TaskLaunch, result: AttemptResult) -> CollectedOutputs:
    """The outputs of an attempt whose program exited with 0 and whose agent, if it had one, did not fail.

    Raises OutputError.
    """

    def parameter_text(name: str) -> str:
        if name not in result.parameters:
            raise NotWrittenError(name)
        text = result.parameters[name]
        if text is None:
            raise NoTextError(name)
        return text

    stored = set(result.stored)
    outputs = interpret_outputs(
        launch,
        parameter_text=parameter_text,
        metadata_text=result.metadata,
        stored_uri=stored_uri,
        # The agent moves no other schemes: there the task stored the object itself, so its word is taken.
        present=lambda uri: uri in stored or not is_moved(uri),
    )
    # A path in a Pod that is gone is of no use; the file was uploaded to the URI.
    artifacts = {
        port: tuple(replace(artifact, custom_path="") for artifact in elements)
        for port, elements in outputs.artifacts.items()
    }
    return replace(outputs, artifacts=artifacts)


def _result(document: Mapping[str, Any]) -> AttemptResult | None:
    return AttemptResult.from_document(document) if _is_result(document) else None


def _object(text: str | bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
        # JSON may hold half of a surrogate pair, which cannot be encoded as UTF-8: refused here.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_result(document: Mapping[str, Any]) -> bool:
    parameters, stored = document.get("parameters") or {}, document.get("stored") or []
    failure = document.get("failure")
    return (
        "exit" in document
        and (document["exit"] is None or ProcessExit.checked(document["exit"]) is not None)
        and isinstance(parameters, dict)
        and all(text is None or isinstance(text, str) for text in parameters.values())
        and isinstance(document.get("metadata"), (str, type(None)))
        and isinstance(stored, list)
        and all(isinstance(uri, str) for uri in stored)
        and (failure is None or (isinstance(failure, list) and len(failure) == 2 and failure[0] in _KINDS))
        and all(type(document.get(name, 0)) is int for name in ("fetched_at", "stored_at"))
    )
