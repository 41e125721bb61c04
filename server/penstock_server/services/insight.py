"""Tasks, artifacts, logs and Pods of runs, beyond the v2beta1 API (penstock.v1.InsightService).

Invariants: a stream holds no database connection while it sends; a followed log ends when its task has ended and the
whole log was sent; if a task has no log, the stream is a sentence that says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from penstock_ir.task_rows import TaskKind

from penstock_server.domain import listing, unpacking
from penstock_server.domain.explanation import Explanation
from penstock_server.domain.listing import Key, KeyKind, Listing
from penstock_server.domain.pods import event_documents, pod_document, waiting_events
from penstock_server.domain.run import Run
from penstock_server.domain.task import Artifact, Task, task_id_of, with_waits
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services import runs
from penstock_server.services.ports import Storage

ARTIFACTS = Listing("artifacts", {"created_at": Key("created_at", KeyKind.TIME)})
_POLL_SECONDS = 0.25


class ObjectReader(Protocol):
    """Reads artifacts and logs. Raises NotFoundError; FailedPreconditionError for URIs without a configured store."""

    def read(self, uri: str, *, offset: int = 0, max_bytes: int = 0) -> Iterator[bytes]:
        """The bytes of a file from an offset, of a directory as a tar stream; 0 means all there is now."""
        ...

    def size(self, uri: str) -> int | None:
        """None when it cannot be known without reading."""
        ...


class PodReader(Protocol):
    """Reads Pods from the cluster in which tasks run. Raises UnavailableError."""

    def document(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A v1 Pod, None when it is gone."""
        ...

    def events(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """v1 Events of the Pod, the oldest first."""
        ...

    def log(self, namespace: str, name: str, *, follow: bool, active: Callable[[], bool]) -> Iterator[bytes] | None:
        """The log of the task's container, None when there is no Pod or it has not begun."""
        ...


class InsightService:
    """`explain` explains a task of a run by its path (ExplainService); `pods` is None where tasks are no Pods."""

    def __init__(
        self,
        storage: Storage,
        objects: ObjectReader,
        explain: Callable[[str, str], Explanation],
        pods: PodReader | None = None,
    ) -> None:
        self._storage = storage
        self._explain = explain
        self._objects = objects
        self._pods = pods

    def tasks(self, run_id: str) -> Sequence[Task]:
        with self._storage.reading() as uow:
            runs.find(uow, run_id)
            return with_waits(uow.tasks.list_for_run(run_id))

    def artifacts(self, run_id: str, type_name: str, page_size: int, page_token: str) -> listing.Page[Artifact]:
        """Newest first."""
        request = listing.ListRequest(
            page_token=page_token, page_size=page_size, sort_by="created_at desc", scope=run_id
        )
        query = listing.parse(ARTIFACTS, request)
        with self._storage.reading() as uow:
            return uow.artifacts.list(query, run_id, type_name)

    def artifact(self, name: str) -> Artifact:
        with self._storage.reading() as uow:
            artifact = uow.artifacts.get(name)
        if artifact is None:
            raise NotFoundError("Artifact", name)
        return artifact

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
            head, _ = unpacking.peek(self._objects.read(uri, max_bytes=unpacking.HEAD_BYTES))
            if size is None or unpacking.is_packed(head):
                return None, unpacking.limit_bytes(unpacking.first_file(self._objects.read(uri)), max_bytes)
        if size is None:
            return None, self._objects.read(uri, max_bytes=max_bytes)
        return size, self._objects.read(uri, offset=offset, max_bytes=max_bytes)

    def pod(self, pod_name: str, run_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A v1 Pod and its v1 Events: the cluster's while the Pod exists, else made from the run's record."""
        run, task = self._task_of_pod(pod_name, run_id)
        document = self._pods.document(run.namespace, task.pod_name) if self._pods is not None else None
        if self._pods is None or document is None:
            return pod_document(run, task), event_documents(task)
        return document, [*self._pods.events(run.namespace, task.pod_name), *waiting_events(task)]

    def _task_of_pod(self, pod_name: str, run_id: str) -> tuple[Run, Task]:
        with self._storage.reading() as uow:
            task = uow.tasks.by_pod(run_id, pod_name)
            if task is None:
                raise NotFoundError("Pod", pod_name)
            root = uow.tasks.get(task.run_id, task_id_of(task.run_id, ""))
            (*_, task) = with_waits([row for row in (root, task) if row is not None])
            return runs.find(uow, task.run_id), task

    def read_log(
        self, run_id: str, node_id: str, *, follow: bool, tail_bytes: int, active: Callable[[], bool]
    ) -> Iterator[bytes]:
        """The log of a task, or a sentence that says why there is none; `active` False ends a stream that is followed.

        Raises NotFoundError for an unknown run or task, and for a log that was deleted.
        """
        task = self._task(run_id, node_id)
        while task is None:
            last = not follow or self._run_ended(run_id) or not active()
            task = self._task(run_id, node_id)
            if task is None and last:
                yield _missing_log_text(None, self._explain(run_id, node_id))
                return
            if task is None:
                time.sleep(_POLL_SECONDS)
        offset, started = 0, False
        # No retry of a failed call: it polls for what was added to the log, which may not be there yet.
        while True:
            ended = task.state.terminal
            live = None if started else self._live_log(task, follow=follow, active=active)
            if live is not None:
                yield from live
                return
            try:
                if task.log_uri:
                    offset = offset if started else self._tail(task.log_uri, tail_bytes)
                    for chunk in self._objects.read(task.log_uri, offset=offset):
                        started = True
                        offset += len(chunk)
                        yield chunk
                    started = True
            except NotFoundError:
                # The URI of the log is known before the process writes to it.
                if ended:
                    raise
            if not follow or ended or not active():
                break
            time.sleep(_POLL_SECONDS)
            task = self._task(run_id, node_id) or task
        if not started:
            yield _missing_log_text(task, self._explain(task.run_id, task.path))

    def _run_ended(self, run_id: str) -> bool:
        with self._storage.reading() as uow:
            return runs.find(uow, run_id).state.final

    def _tail(self, uri: str, tail_bytes: int) -> int:
        """The offset of the last `tail_bytes` bytes of a log."""
        if not uri or not tail_bytes or not self._archived(uri):
            return 0
        return max(0, (self._objects.size(uri) or 0) - tail_bytes)

    def _live_log(self, task: Task, *, follow: bool, active: Callable[[], bool]) -> Iterator[bytes] | None:
        """The log from the task's Pod, as long as it is not archived; None if the archive has to be read."""
        if self._pods is None or not task.pod_name or (task.state.terminal and self._archived(task.log_uri)):
            return None
        with self._storage.reading() as uow:
            namespace = runs.find(uow, task.run_id).namespace
        return self._pods.log(namespace, task.pod_name, follow=follow, active=active)

    def _archived(self, uri: str) -> bool:
        try:
            self._objects.size(uri)
        except NotFoundError:
            return False
        return True

    def _task(self, run_id: str, node_id: str) -> Task | None:
        """A task by its id, its path or its Pod's name; None when the run has not reached it.

        Raises NotFoundError when there is no such run, or none is named.
        """
        with self._storage.reading() as uow:
            if run_id:
                runs.find(uow, run_id)
            task = (
                uow.tasks.get(run_id, task_id_of(run_id, node_id))
                or uow.tasks.get(run_id, node_id)
                or uow.tasks.by_pod(run_id, node_id)
            )
        if task is None and not run_id:
            raise NotFoundError("Task", node_id)
        return task


def _missing_log_text(task: Task | None, explain: Explanation) -> bytes:
    """The sentence that is sent instead of a log."""
    if task is not None and task.kind is TaskKind.IMPORTER:
        text = "an importer runs no command, it names what is there"
    elif task is not None and task.kind is not TaskKind.CONTAINER:
        text = f"it is a group of tasks, which have logs of their own; {explain.summary}"
    else:
        text = explain.summary
    yet = "" if task is not None and task.state.terminal else " yet"
    return f"Task {explain.task!r} has no log{yet}: {text}.\n".encode()
