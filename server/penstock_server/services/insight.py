"""Tasks, artifacts and Pods of runs, beyond the v2beta1 API (penstock.v1.InsightService); logs are in `log_streams`.

Invariant: a stream holds no database connection while it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

from penstock_server.domain import listing, task_listing, unpacking
from penstock_server.domain.listing import Key, KeyKind, Listing
from penstock_server.domain.location import ObjectKind
from penstock_server.domain.parts import WHOLE_TASKS, TaskPageParts
from penstock_server.domain.pods import event_documents, pod_document, waiting_events
from penstock_server.domain.run import Run
from penstock_server.domain.task import Artifact, Task, task_id_of, with_waits
from penstock_server.domain.task_listing import TaskListRequest, TaskPage, whole
from penstock_server.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from penstock_server.services import runs
from penstock_server.services.object_namespaces import ObjectNamespaces
from penstock_server.services.ports import Storage
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

ARTIFACTS = Listing("artifacts", {"created_at": Key("created_at", KeyKind.TIME)})


class ObjectReader(Protocol):
    """Reads artifacts. Raises NotFoundError; FailedPreconditionError for URIs without a configured store."""

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


class InsightService:
    """`objects` gives the store of a namespace, of an empty one what belongs to none; `pods` is None where tasks are no
    Pods.
    """

    def __init__(
        self,
        storage: Storage,
        objects: Callable[[str], ObjectReader],
        namespaces: ObjectNamespaces,
        pods: PodReader | None = None,
        tenancy: Tenancy = SINGLE_USER,
    ) -> None:
        self._namespaces = namespaces
        self._tenancy = tenancy
        self._storage = storage
        self._objects = objects
        self._pods = pods

    def tasks(self, request: TaskListRequest, parts: TaskPageParts = WHOLE_TASKS, *, counted: bool = True) -> TaskPage:
        """The tasks of all pages are not counted unless that is wanted. Raises InvalidArgumentError, NotFoundError."""
        run_id = request.run_id
        with self._storage.reading() as uow:
            # Before what it counts: a watch that goes on after it tells what is committed meanwhile once more.
            sequence = uow.runs.changes([run_id]).get(run_id)
            if sequence is None:
                raise NotFoundError("Run", run_id)
            if request.for_all:
                tasks = uow.tasks.list_for_run(run_id, parts.without)
                return whole(with_waits(tasks) if parts.waits else tasks, sequence)
            query = replace(task_listing.parse(request), counted=counted)
            found = uow.tasks.list(query, parts.without)
            counts = uow.tasks.counts(task_listing.in_any_state(query)) if parts.counts else {}
            groups = [task for task in found.items if task.kind in task_listing.GROUPS]
            child_counts = uow.tasks.child_counts(run_id, groups) if parts.child_counts else {}
            root = uow.tasks.get(run_id, task_id_of(run_id, "")) if parts.waits else None
        tasks = with_waits([root, *found.items])[1:] if root is not None else list(found.items)
        return TaskPage(tasks, found.next_page_token, found.total_size, counts, child_counts, sequence)

    def artifacts(
        self, run_id: str, type_name: str, page_size: int, page_token: str, namespace: str = ""
    ) -> listing.Page[Artifact]:
        """Newest first; in multi-user mode those of a run or of a namespace.

        Raises InvalidArgumentError, NotFoundError.
        """
        request = listing.ListRequest(page_token=page_token, page_size=page_size, sort_by="created_at desc")
        with self._storage.reading() as uow:
            scope = runs.scope_of_list(uow, self._tenancy, run_id, namespace)
            return uow.artifacts.list(listing.parse(ARTIFACTS, request, scope), type_name)

    def artifact(self, name: str) -> Artifact:
        with self._storage.reading() as uow:
            artifact = uow.artifacts.get(name)
        if artifact is None:
            raise NotFoundError("Artifact", name)
        return artifact

    def read_artifact(self, name: str, max_bytes: int) -> Iterator[bytes]:
        """In multi-user mode only what lies in the place of a run of the artifact's namespace: a program may give its
        artifact any URI, and whoever names one gets no more by it than by `read_object`.

        Raises NotFoundError, PermissionDeniedError, and what reading the object raises.
        """
        artifact, namespace = self.artifact(name), ""
        if self._tenancy.multi_user:
            owner, place = self._namespaces.of(ObjectKind.RUN, artifact.run_id), self._namespaces.of_uri(artifact.uri)
            if owner is None or place is None or owner.namespace != place.namespace:
                raise PermissionDeniedError(
                    f"artifact {name!r} lies at {artifact.uri}, in the place of no run of its namespace: the server "
                    "does not read it; a task that takes it as an input does, with its namespace's credentials",
                    resource="runs",
                    verb="readArtifact",
                    namespace=owner.namespace if owner is not None else "",
                )
            namespace = owner.namespace
        return self._objects(namespace).read(artifact.uri, max_bytes=max_bytes)

    def read_object(self, uri: str, *, offset: int, max_bytes: int, unpack: bool) -> tuple[int | None, Iterator[bytes]]:
        """The size of the object, None when that cannot be known, and its bytes; read as the namespace reads it in the
        place of whose run it lies.

        Raises InvalidArgumentError, NotFoundError, PermissionDeniedError, FailedPreconditionError.
        """
        if offset < 0 or max_bytes < 0:
            raise InvalidArgumentError("they must not be negative", "offset, max_bytes")
        place = self._namespaces.of_uri(uri) if self._tenancy.multi_user else None
        objects = self._objects(place.namespace if place is not None else "")
        size = objects.size(uri)
        if unpack:
            head, _ = unpacking.peek(objects.read(uri, max_bytes=unpacking.HEAD_BYTES))
            if size is None or unpacking.is_packed(head):
                return None, unpacking.limit_bytes(unpacking.first_file(objects.read(uri)), max_bytes)
        if size is None:
            return None, objects.read(uri, max_bytes=max_bytes)
        return size, objects.read(uri, offset=offset, max_bytes=max_bytes)

    def pod(self, pod_name: str, run_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A v1 Pod and its v1 Events: the cluster's while the Pod exists, else made from the run's record.

        Raises NotFoundError, also for one that is gone and was that of several tasks; UnavailableError.
        """
        run, task, is_shared = self._task_of_pod(pod_name, run_id)
        document = self._pods.document(run.namespace, task.pod_name) if self._pods is not None else None
        if self._pods is None or document is None:
            if is_shared:
                raise NotFoundError("Pod", pod_name)
            return pod_document(run, task), event_documents(task)
        events = self._pods.events(run.namespace, task.pod_name)
        return document, events if is_shared else [*events, *waiting_events(task)]

    def _task_of_pod(self, pod_name: str, run_id: str) -> tuple[Run, Task, bool]:
        """With whether other tasks of the run had it too."""
        with self._storage.reading() as uow:
            found = uow.tasks.of_pod(run_id, pod_name)
            if not found:
                raise NotFoundError("Pod", pod_name)
            task = found[0]
            root = uow.tasks.get(task.run_id, task_id_of(task.run_id, ""))
            (*_, task) = with_waits([row for row in (root, task) if row is not None])
            return runs.find(uow, task.run_id), task, len(found) > 1
