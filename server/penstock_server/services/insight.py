"""What Penstock tells of runs beyond the v2beta1 API: tasks, artifacts, logs (penstock.v1.InsightService).

Invariants: a stream holds no database connection while it sends; a log that is followed ends when its task has ended
and everything written was sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from penstock_server.domain import listing, unpacking
from penstock_server.domain.listing import Key, KeyKind, Listing
from penstock_server.domain.run import Run
from penstock_server.domain.task import Artifact, Task, task_id_of
from penstock_server.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from penstock_server.services import runs
from penstock_server.services.ports import Storage

ARTIFACTS = Listing("artifacts", {"created_at": Key("created_at", KeyKind.TIME)})
_FINAL = {"SUCCEEDED", "CACHED", "SKIPPED", "OMITTED", "FAILED", "CANCELED"}
_POLL_SECONDS = 0.25


class ObjectReader(Protocol):
    """Reads what tasks left behind. Raises NotFoundError, FailedPreconditionError for places it does not reach."""

    def read(self, uri: str, *, offset: int = 0, max_bytes: int = 0) -> Iterator[bytes]:
        """The bytes of a file from an offset, of a directory as a tar stream; 0 means all there is now."""
        ...

    def size(self, uri: str) -> int | None:
        """None when it cannot be known without reading."""
        ...


class InsightService:
    def __init__(self, storage: Storage, objects: ObjectReader) -> None:
        self._storage = storage
        self._objects = objects

    def tasks(self, run_id: str) -> Sequence[Task]:
        with self._storage.reading() as uow:
            runs.find(uow, run_id)
            return uow.tasks.list_for_run(run_id)

    def artifacts(self, run_id: str, type_name: str, page_size: int, page_token: str) -> tuple[Sequence[Artifact], str]:
        """Newest first."""
        request = listing.ListRequest(
            page_token=page_token, page_size=page_size, sort_by="created_at desc", scope=run_id
        )
        query = listing.parse(ARTIFACTS, request)
        with self._storage.reading() as uow:
            found, _, token = uow.artifacts.list(query, run_id, type_name)
            return found, token

    def artifact(self, name: str) -> Artifact:
        with self._storage.reading() as uow:
            found = uow.artifacts.get(name)
        if found is None:
            raise NotFoundError("Artifact", name)
        return found

    def read_artifact(self, name: str, max_bytes: int) -> Iterator[bytes]:
        return self._objects.read(self.artifact(name).uri, max_bytes=max_bytes)

    def read_object(self, uri: str, *, offset: int, max_bytes: int, unpack: bool) -> tuple[int | None, Iterator[bytes]]:
        """The size of the object, None when that cannot be known, and its bytes.

        Raises InvalidArgumentError, NotFoundError, PermissionDeniedError, FailedPreconditionError.
        """
        if offset < 0 or max_bytes < 0:
            raise InvalidArgumentError("they must not be negative", "offset, max_bytes")
        size = self._objects.size(uri)
        if unpack:
            head, _ = unpacking.peeked(self._objects.read(uri, max_bytes=unpacking.HEAD_BYTES))
            if size is None or unpacking.packed(head):
                return None, unpacking.limited(unpacking.first_file(self._objects.read(uri)), max_bytes)
        if size is None:
            return None, self._objects.read(uri, max_bytes=max_bytes)
        return size, self._objects.read(uri, offset=offset, max_bytes=max_bytes)

    def pod(self, pod_name: str, run_id: str) -> tuple[Run, Task]:
        """The task whose latest attempt has this Pod, and its run."""
        with self._storage.reading() as uow:
            task = uow.tasks.by_pod(run_id, pod_name)
            if task is None:
                raise NotFoundError("Pod", pod_name)
            return runs.find(uow, task.run_id), task

    def read_log(
        self, run_id: str, node_id: str, *, follow: bool, tail_bytes: int, active: Callable[[], bool]
    ) -> Iterator[bytes]:
        """The log of a task; `active` False ends a stream that is followed."""
        task = self._task(run_id, node_id)
        offset = 0
        if tail_bytes > 0 and task.log_uri:
            offset = max(0, (self._objects.size(task.log_uri) or 0) - tail_bytes)
        while True:
            ended = task.state in _FINAL
            if task.log_uri:
                for chunk in self._objects.read(task.log_uri, offset=offset):
                    offset += len(chunk)
                    yield chunk
            elif not follow or ended:
                raise FailedPreconditionError(f"task {task.path!r} ({task.state.lower()}) has no log")
            if not follow or ended or not active():
                return
            time.sleep(_POLL_SECONDS)
            task = self._task(run_id, node_id)

    def _task(self, run_id: str, node_id: str) -> Task:
        with self._storage.reading() as uow:
            if run_id:
                runs.find(uow, run_id)
            found = (
                uow.tasks.get(run_id, task_id_of(run_id, node_id))
                or uow.tasks.get(run_id, node_id)
                or uow.tasks.by_pod(run_id, node_id)
            )
        if found is None:
            raise NotFoundError("Task", node_id)
        return found
