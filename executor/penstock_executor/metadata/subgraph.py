"""What the store has of a run's lineage, and the request that adds what is missing.

Invariants: one event per (execution, artifact, type), since the store allows no more, with a step in its path for each
port; an execution that the store has already, unchanged and with all its events, is not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from penstock_ir.artifact import Artifact

from penstock_executor.lineage_records import ExecutionRecord
from penstock_executor.metadata.messages import artifact_message, execution_message

# Names of execution and artifact, type of the event.
EventKey = tuple[str, str, int]


@dataclass(slots=True)
class RecordedRun:
    """What the store has of one run: its contexts, ids of executions and artifacts by name, events.

    `read` holds executions as they were read from the store (`comparable_bytes`), until they are written again.
    """

    contexts: list[pb.Context]
    executions: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, int] = field(default_factory=dict)
    events: set[EventKey] = field(default_factory=set)
    read: dict[str, bytes] = field(default_factory=dict)


def comparable_bytes(message: pb.Execution) -> bytes:
    """An execution without the fields that the store adds, serialized: equal bytes mean equal records."""
    comparable = pb.Execution(type_id=message.type_id, name=message.name, last_known_state=message.last_known_state)
    for key, value in message.custom_properties.items():
        comparable.custom_properties[key].CopyFrom(value)
    return comparable.SerializeToString(deterministic=True)


@dataclass(slots=True)
class Subgraph:
    """One request, and which execution, artifact and event is where in it."""

    request: service_pb.PutLineageSubgraphRequest
    names: list[str] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    edges: dict[EventKey, service_pb.PutLineageSubgraphRequest.EventEdge] = field(default_factory=dict)

    @staticmethod
    def of(records: Sequence[ExecutionRecord], recorded: RecordedRun, type_id: Callable[[str, str], int]) -> Subgraph:
        graph = Subgraph(service_pb.PutLineageSubgraphRequest())
        graph.request.options.reuse_artifact_if_already_exist_by_external_id = True
        graph.request.contexts.extend(recorded.contexts)
        for record in records:
            parent = recorded.executions.get(record.parent)
            message = execution_message(record, type_id("execution", record.type.value), parent)
            events = [
                (key, port, artifact)
                for kind, port, artifact in events_of(record)
                if (key := (record.name, artifact.name, kind)) not in recorded.events
            ]
            known = recorded.read.get(record.name)
            if known is not None and not events and known == comparable_bytes(message):
                continue
            if record.name in recorded.executions:
                message.id = recorded.executions[record.name]
            index = len(graph.names)
            graph.names.append(record.name)
            graph.request.executions.append(message)
            for key, port, artifact in events:
                graph._add_event(key, port, artifact, index, type_id)
        return graph

    def _add_event(
        self, key: EventKey, port: str, artifact: Artifact, index: int, type_id: Callable[[str, str], int]
    ) -> None:
        if artifact.name not in self.positions:
            self.positions[artifact.name] = len(self.request.artifacts)
            self.request.artifacts.append(artifact_message(artifact, type_id("artifact", artifact.type), port))
        if key not in self.edges:
            self.edges[key] = self.request.event_edges.add(
                execution_index=index, artifact_index=self.positions[artifact.name]
            )
            self.edges[key].event.type = key[2]
        self.edges[key].event.path.steps.add(key=port)

    def apply_reply(self, recorded: RecordedRun, reply: service_pb.PutLineageSubgraphResponse) -> None:
        """Adds the ids of the reply to `recorded`."""
        for name, identifier in zip(self.names, reply.execution_ids, strict=True):
            recorded.executions[name] = identifier
            recorded.read.pop(name, None)
        recorded.events.update(self.edges)
        recorded.artifacts.update({name: reply.artifact_ids[position] for name, position in self.positions.items()})


def events_of(record: ExecutionRecord) -> Iterator[tuple[int, str, Artifact]]:
    """Type, port and artifact of each event of a record."""
    kinds: Mapping[int, Mapping[str, tuple[Artifact, ...]]] = {
        pb.Event.INPUT: record.input_artifacts,
        pb.Event.OUTPUT: record.output_artifacts,
    }
    for kind, ports in kinds.items():
        for port, artifacts in ports.items():
            for artifact in artifacts:
                yield kind, port, artifact
