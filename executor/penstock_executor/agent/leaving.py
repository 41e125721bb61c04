"""Where an attempt's result goes: the termination message, or the store when it is too long (docs/pods.md).

Invariant: something is always said: a result that cannot be stored is replaced by the failure to store it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from penstock_store.base import ArtifactStoreError

from penstock_executor.agent.attempt import Attempt
from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.protocol import MESSAGE_BYTES, RESULT_OBJECT, AttemptResult
from penstock_executor.agent.share import say

_MAX_TEXT = 1000


def leave(result: AttemptResult, message: Path, attempt: Attempt) -> None:
    """Raises OSError when even the message cannot be written."""
    if result.failure is not None:
        result = replace(result, failure=(result.failure[0], result.failure[1][:_MAX_TEXT]))
    data = _encoded(result)
    if len(data) > MESSAGE_BYTES:
        uri = f"{attempt.task.task_root}/{RESULT_OBJECT}"
        try:
            attempt.move(attempt.store().write(data, uri))
            data = json.dumps({"stored": uri, "bytes": len(data)}).encode()
        except (ArtifactStoreError, OSError) as error:
            text = f"the result of {len(data)} bytes cannot be stored: {error}"[:_MAX_TEXT]
            say(text)
            data = _encoded(AttemptResult(result.exit, log_stored=result.log_stored, failure=(INFRASTRUCTURE, text)))
    message.write_bytes(data)


def _encoded(result: AttemptResult) -> bytes:
    # Names of files that are no UTF-8 may be in a failure's text.
    return result.to_json().encode("utf-8", "replace")
