"""What the stock ML Metadata client finds of a run."""

from __future__ import annotations

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2


def store(grpc: str) -> metadata_store.MetadataStore:
    host, port = grpc.rsplit(":", 1)
    return metadata_store.MetadataStore(metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port)))


def assert_complete(grpc: str, run_id: str, names: set[str]) -> None:
    """One execution for every task and one for the run, all of them COMPLETE."""
    known = store(grpc)
    context = known.get_context_by_type_and_name("system.PipelineRun", run_id)
    executions = known.get_executions_by_context(context.id)
    found = [one.custom_properties["task_name"].string_value for one in executions]
    assert sorted(name for name in found if name in names) == sorted(names)
    assert len(executions) == len(names) + 1
    states = {one.name: metadata_store_pb2.Execution.State.Name(one.last_known_state) for one in executions}
    assert set(states.values()) == {"COMPLETE"}, states
