"""Reads lineage back with the stock `ml_metadata` client: from an artifact up to where everything came from."""

from __future__ import annotations

from typing import Any

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from rich.tree import Tree

_OUTPUT, _INPUT = 4, 3


class Lineage:
    """`grpc_address` is HOST:PORT of a server that offers ml_metadata.MetadataStoreService."""

    def __init__(self, grpc_address: str) -> None:
        host, port = grpc_address.rsplit(":", 1)
        config = metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port))
        self._store = metadata_store.MetadataStore(config)
        self._artifact_types: dict[int, str] = {one.id: one.name for one in self._store.get_artifact_types()}

    def tree(self, artifact_id: int) -> Tree:
        """The artifact, the execution that made it, its inputs, and so on upstream; each artifact once."""
        artifact = self._store.get_artifacts_by_id([artifact_id])[0]
        root = Tree(self._artifact_text(artifact))
        self._grow(root, artifact_id, {artifact_id})
        return root

    def _grow(self, tree: Tree, artifact_id: int, seen: set[int]) -> None:
        for event in self._store.get_events_by_artifact_ids([artifact_id]):
            if event.type != _OUTPUT:
                continue
            execution = self._store.get_executions_by_id([event.execution_id])[0]
            branch = tree.add(f"made by [bold]{_property(execution, 'task_name') or execution.name}[/bold]"
                              f" (execution {execution.id}, {_state(execution)})")  # fmt: skip
            read = self._store.get_events_by_execution_ids([execution.id])
            for one in sorted({event.artifact_id for event in read if event.type == _INPUT}):
                leaf = branch.add("from " + self._artifact_text(self._store.get_artifacts_by_id([one])[0]))
                if one not in seen:
                    seen.add(one)
                    self._grow(leaf, one, seen)

    def _artifact_text(self, artifact: Any) -> str:
        label = _property(artifact, "display_name") or artifact.name
        details = ", ".join(
            f"{name}={_value(value)}"
            for name, value in sorted(artifact.custom_properties.items())
            if name in ("algorithm", "accuracy", "rows", "source")
        )
        kind = self._artifact_types.get(artifact.type_id, "artifact")
        return f"[cyan]{kind}[/cyan] {label} (artifact {artifact.id})" + (f"  {details}" if details else "")


def _property(message: Any, name: str) -> str:
    return str(message.custom_properties[name].string_value) if name in message.custom_properties else ""


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else ""
    return f"{found:.3f}" if isinstance(found, float) else str(found)


def _state(execution: Any) -> str:
    return str(metadata_store_pb2.Execution.State.Name(execution.last_known_state))
