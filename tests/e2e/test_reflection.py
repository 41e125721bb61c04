"""Reflection, health checks, request ids and the stock metadata client, over gRPC."""

from __future__ import annotations

from pathlib import Path

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2, run_pb2_grpc

from tools.embedded import Embedded
from tools.testing import runs, specs

SERVICES = {
    "kubeflow.pipelines.backend.api.v2beta1.ExperimentService",
    "kubeflow.pipelines.backend.api.v2beta1.PipelineService",
    "kubeflow.pipelines.backend.api.v2beta1.RunService",
    "kubeflow.pipelines.backend.api.v2beta1.RecurringRunService",
    "ml_metadata.MetadataStoreService",
    "penstock.v1.InsightService",
    "grpc.health.v1.Health",
}


def test_reflection_lists_and_describes(up: Embedded) -> None:
    with grpc.insecure_channel(up.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) >= SERVICES
        file = database.FindFileContainingSymbol("kubeflow.pipelines.backend.api.v2beta1.RunService")
        assert "CreateRun" in {method.name for service in file.service for method in service.method}


def test_health(up: Embedded) -> None:
    with grpc.insecure_channel(up.grpc) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_a_request_id_comes_back(up: Embedded) -> None:
    with grpc.insecure_channel(up.grpc) as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        _, call = stub.ListRuns.with_call(run_pb2.ListRunsRequest(), timeout=5, metadata=(("x-request-id", "mine-1"),))
        sent = dict((*call.initial_metadata(), *call.trailing_metadata()))
    assert sent["x-request-id"] == "mine-1"


def test_the_stock_client_reads_lineage(client: Client, up: Embedded) -> None:
    spec = yaml.safe_load((Path(specs.COMPILED) / "artifact_passing.yaml").read_text())
    run = runs.finished(client, runs.start(client, spec, {"content": "for lineage"}))
    assert run.state == run_pb2.SUCCEEDED
    host, port = up.grpc.rsplit(":", 1)
    store = metadata_store.MetadataStore(metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port)))
    context = store.get_context_by_type_and_name("system.PipelineRun", run.run_id)
    executions = {
        one.custom_properties["task_name"].string_value: one for one in store.get_executions_by_context(context.id)
    }
    assert {"write", "read"} <= executions.keys()
    read = store.get_events_by_execution_ids([executions["read"].id])
    written = store.get_events_by_execution_ids([executions["write"].id])
    inputs = {one.artifact_id for one in read if one.type == metadata_store_pb2.Event.INPUT}
    outputs = {one.artifact_id for one in written if one.type == metadata_store_pb2.Event.OUTPUT}
    assert inputs == outputs
    assert len(inputs) == 1
    artifact = store.get_artifacts_by_id(list(inputs))[0]
    assert store.get_artifact_types_by_id([artifact.type_id])[0].name == "system.Dataset"
