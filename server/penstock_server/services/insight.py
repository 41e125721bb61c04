"""What Penstock tells of runs beyond the v2beta1 API: tasks, artifacts, logs (penstock.v1.InsightService).

Invariants: a stream holds no database connection while it sends; a log that is followed ends when its task has ended
and everything written was sent; a task that has no log answers with a sentence that says why.
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
    """Reads what tasks left behind. Raises NotFoundError, FailedPreconditionError for places it does not reach."""

    def read(self, uri: str, *, offset: int = 0, max_bytes: int = 0) -> Iterator[bytes]:
        """The bytes of a file from an offset, of a directory as a tar stream; 0 means all there is now."""
        ...

    def size(self, uri: str) -> int | None:
        """None when it cannot be known without reading."""
        ...


class PodReader(Protocol):
    """Asks the cluster that tasks run in. Raises UnavailableError."""

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
    """`why` explains a task of a run by its path (ExplainService); `pods` is None where tasks are no Pods."""

    def __init__(
        self,
        storage: Storage,
        objects: ObjectReader,
        why: Callable[[str, str], Explanation],
        pods: PodReader | None = None,
    ) -> None:
        self._storage = storage
        self._why = why
        self._objects = objects
        self._pods = pods

    def tasks(self, run_id: str) -> Sequence[Task]:
        with self._storage.reading() as uow:
            runs.find(uow, run_id)
            return with_waits(uow.tasks.list_for_run(run_id))

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

    def pod(self, pod_name: str, run_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A v1 Pod and its v1 Events: the cluster's while it is there, else what the run's record tells."""
        run, task = self._task_of_pod(pod_name, run_id)
        found = self._pods.document(run.namespace, task.pod_name) if self._pods is not None else None
        if self._pods is None or found is None:
            return pod_document(run, task), event_documents(task)
        return found, [*self._pods.events(run.namespace, task.pod_name), *waiting_events(task)]

    def _task_of_pod(self, pod_name: str, run_id: str) -> tuple[Run, Task]:
        with self._storage.reading() as uow:
            task = uow.tasks.by_pod(run_id, pod_name)
            if task is None:
                raise NotFoundError("Pod", pod_name)
            root = uow.tasks.get(task.run_id, task_id_of(task.run_id, ""))
            (*_, task) = with_waits([one for one in (root, task) if one is not None])
            return runs.find(uow, task.run_id), task

    def read_log(
        self, run_id: str, node_id: str, *, follow: bool, tail_bytes: int, active: Callable[[], bool]
    ) -> Iterator[bytes]:
        """The log of a task, or a sentence that says why there is none; `active` False ends a stream that is followed.

        Raises NotFoundError for what is no task of the run, and for a log that is gone.
        """
        task = self._task(run_id, node_id)
        while task is None:
            last = not follow or self._run_ended(run_id) or not active()
            task = self._task(run_id, node_id)
            if task is None and last:
                yield _without_log(None, self._why(run_id, node_id))
                return
            if task is None:
                time.sleep(_POLL_SECONDS)
        offset, begun = 0, False
        while True:
            ended = task.state.terminal
            live = None if begun else self._live_log(task, follow=follow, active=active)
            if live is not None:
                yield from live
                return
            try:
                if task.log_uri:
                    offset = offset if begun else self._tail(task.log_uri, tail_bytes)
                    for chunk in self._objects.read(task.log_uri, offset=offset):
                        begun = True
                        offset += len(chunk)
                        yield chunk
                    begun = True
            except NotFoundError:
                # Its place is known before its process writes there.
                if ended:
                    raise
            if not follow or ended or not active():
                break
            time.sleep(_POLL_SECONDS)
            task = self._task(run_id, node_id) or task
        if not begun:
            yield _without_log(task, self._why(task.run_id, task.path))

    def _run_ended(self, run_id: str) -> bool:
        with self._storage.reading() as uow:
            return runs.find(uow, run_id).state.final

    def _tail(self, uri: str, tail_bytes: int) -> int:
        """Where the last bytes of a log begin."""
        if not uri or not tail_bytes or not self._archived(uri):
            return 0
        return max(0, (self._objects.size(uri) or 0) - tail_bytes)

    def _live_log(self, task: Task, *, follow: bool, active: Callable[[], bool]) -> Iterator[bytes] | None:
        """What the task's Pod says, as long as it is not archived; None to look there."""
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
        """By its id, its path or its Pod's name; None when the run has not reached it.

        Raises NotFoundError when there is no such run, or none is named.
        """
        with self._storage.reading() as uow:
            if run_id:
                runs.find(uow, run_id)
            found = (
                uow.tasks.get(run_id, task_id_of(run_id, node_id))
                or uow.tasks.get(run_id, node_id)
                or uow.tasks.by_pod(run_id, node_id)
            )
        if found is None and not run_id:
            raise NotFoundError("Task", node_id)
        return found


def _without_log(task: Task | None, why: Explanation) -> bytes:
    """What stands in place of the log."""
    if task is not None and task.kind is TaskKind.IMPORTER:
        text = "an importer runs no command, it names what is there"
    elif task is not None and task.kind is not TaskKind.CONTAINER:
        text = f"it is a group of tasks, which have logs of their own; {why.summary}"
    else:
        text = why.summary
    yet = "" if task is not None and task.state.terminal else " yet"
    return f"Task {why.task!r} has no log{yet}: {text}.\n".encode()
