"""Values in messages of ML Metadata: whatever a run holds, a message with it can be read (executor.md §2.9)."""

from __future__ import annotations

from typing import Any

import pytest
from ml_metadata.proto import metadata_store_service_pb2 as service
from penstock_executor.metadata.values import set_metadata, set_value
from penstock_ir.json_text import MAX_DEPTH


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value}
    return value


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1, 200])
def test_nested_values_can_be_read(levels: int) -> None:
    reply = service.GetLineageSubgraphResponse()
    set_metadata(reply.lineage_subgraph.artifacts.add().custom_properties, {"m": nested(levels)})
    set_value(reply.lineage_subgraph.executions.add().custom_properties["inputs"], {"l": nested(levels)})
    request = service.PutExecutionRequest()
    set_metadata(request.artifact_event_pairs.add().artifact.custom_properties, {"m": nested(levels)})
    for message in (reply, request):
        assert type(message).FromString(message.SerializeToString()) == message
