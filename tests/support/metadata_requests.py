"""A request for every method of the metadata service, about one execution that made one artifact in a run.

Invariant: requests for methods that the library gains later are made as well, from the names of their fields.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any, cast

from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb

_PIPELINE, _RUN = "system.Pipeline", "system.PipelineRun"
_TYPES = {"Artifact": "system.Dataset", "Execution": "system.ContainerExecution", "Context": _RUN}


@dataclass(frozen=True)
class Lineage:
    """What is recorded of a run; `ids` by kind: of the objects, of their types (`Artifact type`), of the `Parent`."""

    namespace: str
    run: str
    artifact: str
    uri: str
    ids: Mapping[str, int]


def recorded(call: Callable[[str, Message], Any], namespace: str, run: str, artifact: str, uri: str) -> Lineage:
    """Records it with `call(method, request)`, which returns the reply."""
    types = call(
        "PutTypes",
        service_pb.PutTypesRequest(
            artifact_types=[pb.ArtifactType(name=_TYPES["Artifact"], external_id="Artifact")],
            execution_types=[pb.ExecutionType(name=_TYPES["Execution"], external_id="Execution")],
            context_types=[pb.ContextType(name=_RUN, external_id="Context"), pb.ContextType(name=_PIPELINE)],
        ),
    )
    ids = {
        "Artifact type": types.artifact_type_ids[0],
        "Execution type": types.execution_type_ids[0],
        "Context type": types.context_type_ids[0],
    }
    pipeline = pb.Context(type_id=types.context_type_ids[1], name=f"namespace/{namespace}/pipeline/{_new()}")
    made = call("PutExecution", _execution(ids, f"run/{run}/one", artifact, uri, run))
    (parent,) = call("PutContexts", service_pb.PutContextsRequest(contexts=[pipeline])).context_ids
    (context,) = made.context_ids
    ids |= {"Artifact": made.artifact_ids[0], "Execution": made.execution_id, "Context": context, "Parent": parent}
    links = [pb.ParentContext(child_id=context, parent_id=parent)]
    call("PutParentContexts", service_pb.PutParentContextsRequest(parent_contexts=links))
    return Lineage(namespace, run, artifact, uri, ids)


def request_of(method: str, lineage: Lineage) -> Message:
    """A request about the lineage; of what writes, one that adds something."""
    made = _WRITES.get(method)
    if made is not None:
        return made(lineage.ids)
    kind = next(kind for kind in ("Artifact", "Execution", "Context", "") if kind in method) or "Artifact"
    request: Any = getattr(service_pb, f"{method}Request")()
    context = "Parent" if method.startswith("GetChildren") else "Context"
    values = {
        "type_name": _TYPES[kind],
        "type_ids": [lineage.ids.get(f"{kind} type")],
        "artifact_name": lineage.artifact,
        "execution_name": f"run/{lineage.run}/one",
        "context_name": lineage.run,
        "uris": [lineage.uri],
        "external_ids": [kind if "Types" in method else lineage.artifact],
        "artifact_id": lineage.ids["Artifact"],
        "execution_id": lineage.ids["Execution"],
        "context_id": lineage.ids[context],
        "artifact_ids": [lineage.ids["Artifact"]],
        "execution_ids": [lineage.ids["Execution"]],
        "context_ids": [lineage.ids[context]],
    }
    for name, value in values.items():
        if name not in request.DESCRIPTOR.fields_by_name:
            continue
        if isinstance(value, list):
            getattr(request, name).extend(value)
        else:
            setattr(request, name, value)
    if method == "GetLineageGraph":
        request.options.artifacts_options.filter_query = f"uri = '{lineage.uri}'"
        request.options.max_node_size = 100
    if method == "GetLineageSubgraph":
        query = request.lineage_subgraph_query_options
        query.starting_artifacts.filter_query = f"uri = '{lineage.uri}'"
        query.max_num_hops = 20
        request.read_mask.paths.extend(["artifacts", "executions", "contexts", "events"])
    return cast(Message, request)


def nodes_of(message: Any) -> list[Message]:
    """What a reply shows of runs: everything in it but types."""
    found: list[Message] = []
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        several = value.values() if hasattr(value, "values") else value if hasattr(value, "__len__") else [value]
        for one in several:
            if isinstance(one, _NODES):
                found.append(one)
            elif isinstance(one, Message):
                found += nodes_of(one)
    return found


def is_of(lineage: Lineage, node: Any) -> bool:
    """Whether something of `nodes_of` is of this run, or connected to it."""
    if isinstance(node, pb.Artifact | pb.Execution | pb.Context):
        kinds = ("Context", "Parent") if isinstance(node, pb.Context) else (type(node).__name__,)
        return node.id in [lineage.ids[kind] for kind in kinds]
    return any(
        getattr(node, f"{kind.lower()}_id", 0) == lineage.ids[kind] for kind in ("Artifact", "Execution", "Context")
    )


_NODES = (pb.Artifact, pb.Execution, pb.Context, pb.Event, pb.Attribution, pb.Association)


def _new() -> str:
    return f"n-{uuid.uuid4().hex[:16]}"


def _execution(
    ids: Mapping[str, int], name: str, artifact: str, uri: str, context: str
) -> service_pb.PutExecutionRequest:
    request = service_pb.PutExecutionRequest()
    request.execution.type_id, request.execution.name = ids["Execution type"], name
    request.execution.external_id = artifact
    pair = request.artifact_event_pairs.add()
    pair.artifact.type_id, pair.artifact.name, pair.artifact.uri = ids["Artifact type"], artifact, uri
    pair.artifact.external_id = artifact
    pair.event.type = pb.Event.OUTPUT
    request.contexts.add(type_id=ids["Context type"], name=context, external_id=artifact)
    return request


def _put_lineage(ids: Mapping[str, int]) -> Message:
    return service_pb.PutLineageSubgraphRequest(executions=[pb.Execution(type_id=ids["Execution type"], name=_new())])


def _put_links(ids: Mapping[str, int]) -> Message:
    return service_pb.PutAttributionsAndAssociationsRequest(
        attributions=[pb.Attribution(artifact_id=ids["Artifact"], context_id=ids["Parent"])]
    )


def _put_parents(ids: Mapping[str, int]) -> Message:
    # Only new ones can be put: the child is the one that has none yet.
    return service_pb.PutParentContextsRequest()


# The store takes one event of a kind for an artifact and an execution.
_EVENTS = cycle(kind for kind in pb.Event.Type.values() if kind not in (pb.Event.UNKNOWN, pb.Event.OUTPUT))


def _put_event(ids: Mapping[str, int]) -> Message:
    event = pb.Event(artifact_id=ids["Artifact"], execution_id=ids["Execution"], type=next(_EVENTS))
    return service_pb.PutEventsRequest(events=[event])


_WRITES: dict[str, Callable[[Mapping[str, int]], Message]] = {
    "PutArtifactType": lambda _: service_pb.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name=_new())),
    "PutExecutionType": lambda _: service_pb.PutExecutionTypeRequest(execution_type=pb.ExecutionType(name=_new())),
    "PutContextType": lambda _: service_pb.PutContextTypeRequest(context_type=pb.ContextType(name=_new())),
    "PutTypes": lambda _: service_pb.PutTypesRequest(artifact_types=[pb.ArtifactType(name=_new())]),
    "PutArtifacts": lambda ids: service_pb.PutArtifactsRequest(
        artifacts=[pb.Artifact(type_id=ids["Artifact type"], name=_new())]
    ),
    "PutExecutions": lambda ids: service_pb.PutExecutionsRequest(
        executions=[pb.Execution(type_id=ids["Execution type"], name=_new())]
    ),
    "PutContexts": lambda ids: service_pb.PutContextsRequest(
        contexts=[pb.Context(type_id=ids["Context type"], name=_new())]
    ),
    "PutExecution": lambda ids: _execution(ids, _new(), _new(), "", _new()),
    "PutEvents": _put_event,
    "PutLineageSubgraph": _put_lineage,
    "PutAttributionsAndAssociations": _put_links,
    "PutParentContexts": _put_parents,
}
