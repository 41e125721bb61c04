"""Delivers an attempt's result: in the termination message, or in the store when it is too long (docs/pods.md).

Invariant: there is always a termination message: a result that cannot be stored is replaced by that failure.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from penstock_store.base import ArtifactStoreError

from penstock_executor.agent.attempt import Attempt
from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.protocol import MESSAGE_BYTES, RESULT_OBJECT, AttemptResult
from penstock_executor.agent.share import log_line

_MAX_TEXT = 1000


def deliver_result(result: AttemptResult, message_file: Path, attempt: Attempt) -> None:
    """Writes the termination message. Raises OSError when that fails."""
    if result.failure is not None:
        result = replace(result, failure=(result.failure[0], result.failure[1][:_MAX_TEXT]))
    data = _encoded(result)
    if len(data) > MESSAGE_BYTES:
        uri = f"{attempt.task.task_root}/{RESULT_OBJECT}"
        try:
            attempt.run_coroutine(attempt.store().write(data, uri))
            data = json.dumps({"stored": uri, "bytes": len(data)}).encode()
        except (ArtifactStoreError, OSError) as error:
            text = f"the result of {len(data)} bytes cannot be stored: {error}"[:_MAX_TEXT]
            log_line(text)
            data = _encoded(replace(result, parameters={}, metadata=None, stored=(), failure=(INFRASTRUCTURE, text)))
    message_file.write_bytes(data)


def _encoded(result: AttemptResult) -> bytes:
    # The text of a failure may hold a file name that is not valid UTF-8.
    return result.to_json().encode("utf-8", "replace")
