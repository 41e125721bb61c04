"""The result of a run, in a form that can be compared between backends.

Invariants: ids, which differ from run to run, are left out; executions of one task in a loop are a multiset;
artifacts are compared by content, not by URI; CACHED equals SUCCEEDED.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from typing import Any

from penstock.client import ClientError
from penstock_ir.task_rows import TaskKind, TaskState

from tools.conformance.check import Read, RunView, TaskView

Outcome = Mapping[str, Any]
"""`run` is its state, `tasks` has by name a sorted list of what each execution came to."""


# In the status that an exit task is given, a document in a text.
_RUN_NAME = re.compile(r'(pipelineJobResourceName\\*":\\*")[^"\\]*')


def outcome_of(run: RunView) -> Outcome:
    tasks: dict[str, list[str]] = {}
    for task in run.tasks:
        if task.kind != TaskKind.ITERATION:
            text = json.dumps(_of_task(task, run), sort_keys=True)
            tasks.setdefault(task.name, []).append(_RUN_NAME.sub(r"\1", text))
    return {"run": run.state, "tasks": {name: [*map(json.loads, sorted(tasks[name]))] for name in sorted(tasks)}}


def _of_task(task: TaskView, run: RunView) -> Mapping[str, Any]:
    artifacts = {port: [_content(name, run.content) for name in names] for port, names in task.artifacts.items()}
    state = TaskState.SUCCEEDED.value if task.state == TaskState.CACHED else task.state
    return {"state": state, "outputs": dict(task.outputs), "artifacts": artifacts}


def _content(artifact: str, read: Read) -> str:
    """A digest; of a directory, that of the names and contents in it. Empty for what has no object, as metrics."""
    try:
        content = read(artifact)
    except ClientError:
        return ""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = {one.name: _digest(_bytes(archive, one)) for one in archive if one.isfile()}
        return _digest(json.dumps(files, sort_keys=True).encode())
    except (tarfile.TarError, EOFError):
        return _digest(content)


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
