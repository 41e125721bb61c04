"""Runs side by side, of penstock.v1."""

from __future__ import annotations

from penstock_api.v1 import insight_pb2 as pb

from penstock_server.domain.comparison import ComparedRun
from penstock_server.rpc.convert.common import struct_of_text
from penstock_server.rpc.convert.insight import artifact_to_proto
from penstock_server.rpc.convert.runs import to_proto_without_pipeline


def compared_to_proto(compared: ComparedRun) -> pb.ComparedRun:
    return pb.ComparedRun(
        run=to_proto_without_pipeline(compared.run),
        parameters=struct_of_text(compared.run.arguments),
        metrics=compared.metrics,
        classification_metrics=map(artifact_to_proto, compared.classifications),
    )
