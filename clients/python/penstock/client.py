"""A channel to a server with deadlines, bounded retries and paging.

Invariants: every call has a deadline; calls that only read are retried a few times while the server is unavailable, by
the channel itself (gRPC service config, gRFC A6), writes never; what goes wrong is a `ClientError` with one clear
line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import grpc
from penstock_api.v1 import insight_pb2, insight_pb2_grpc, upload_pb2_grpc
from penstock_api.v2beta1 import (
    experiment_pb2,
    experiment_pb2_grpc,
    pipeline_pb2,
    pipeline_pb2_grpc,
    recurring_run_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)

DEADLINE_SECONDS = 30.0
_PAGE = 100
_MESSAGE_BYTES = 128 * 1024 * 1024
_READS = {
    "kubeflow.pipelines.backend.api.v2beta1.ExperimentService": ("GetExperiment", "ListExperiments"),
    "kubeflow.pipelines.backend.api.v2beta1.RecurringRunService": ("GetRecurringRun", "ListRecurringRuns"),
    "kubeflow.pipelines.backend.api.v2beta1.PipelineService": (
        "GetPipeline",
        "GetPipelineByName",
        "ListPipelines",
        "GetPipelineVersion",
        "ListPipelineVersions",
    ),
    "kubeflow.pipelines.backend.api.v2beta1.RunService": ("GetRun", "ListRuns"),
    "penstock.v1.InsightService": ("ListTasks", "ListArtifacts", "GetArtifact"),
}
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [
                    {"service": service, "method": method} for service, names in _READS.items() for method in names
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


class ClientError(Exception):
    """A call failed; `code` is the gRPC status."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """Stubs of one server. A context manager; `target` is HOST:PORT, `ca_certificate` PEM bytes for TLS.

    `channel` is for stubs of other services, such as v1beta1's.
    """

    def __init__(
        self, target: str, *, ca_certificate: bytes | None = None, tls: bool = False, deadline: float = DEADLINE_SECONDS
    ) -> None:
        options = [
            ("grpc.service_config", _SERVICE_CONFIG),
            ("grpc.enable_retries", 1),
            ("grpc.primary_user_agent", "penstock-python/0.1.0"),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ]
        if tls or ca_certificate:
            self.channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca_certificate), options=options)
        else:
            self.channel = grpc.insecure_channel(target, options=options)
        self.target = target
        self.deadline = deadline
        self.experiments = experiment_pb2_grpc.ExperimentServiceStub(self.channel)
        self.pipelines = pipeline_pb2_grpc.PipelineServiceStub(self.channel)
        self.runs = run_pb2_grpc.RunServiceStub(self.channel)
        self.recurring_runs = recurring_run_pb2_grpc.RecurringRunServiceStub(self.channel)
        self.insight = insight_pb2_grpc.InsightServiceStub(self.channel)
        self.uploads = upload_pb2_grpc.PipelineUploadServiceStub(self.channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.channel.close()

    def call(self, method: Callable[..., Any], request: Any, deadline: float | None = None) -> Any:
        """One unary call. Raises ClientError."""
        try:
            return method(request, timeout=deadline or self.deadline)
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def stream(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """A server stream without a deadline: it ends when the server ends it. Raises ClientError."""
        try:
            yield from method(request)
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def list_experiments(self, **filters: Any) -> Iterator[experiment_pb2.Experiment]:
        request = experiment_pb2.ListExperimentsRequest(page_size=_PAGE, **filters)
        return self._pages(self.experiments.ListExperiments, request, "experiments")

    def list_pipelines(self, **filters: Any) -> Iterator[pipeline_pb2.Pipeline]:
        request = pipeline_pb2.ListPipelinesRequest(page_size=_PAGE, **filters)
        return self._pages(self.pipelines.ListPipelines, request, "pipelines")

    def list_runs(self, **filters: Any) -> Iterator[run_pb2.Run]:
        return self._pages(self.runs.ListRuns, run_pb2.ListRunsRequest(page_size=_PAGE, **filters), "runs")

    def list_artifacts(self, **filters: Any) -> Iterator[insight_pb2.Artifact]:
        request = insight_pb2.ListArtifactsRequest(page_size=_PAGE, **filters)
        return self._pages(self.insight.ListArtifacts, request, "artifacts")

    def _pages(self, method: Callable[..., Any], request: Any, field: str) -> Iterator[Any]:
        while True:
            reply = self.call(method, request)
            yield from getattr(reply, field)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def _translated(self, error: grpc.RpcError) -> ClientError:
        code: grpc.StatusCode = error.code()
        details = error.details() or code.name
        if code is grpc.StatusCode.UNAVAILABLE and "connect" in details:
            details = f"no server answers at {self.target}; start one with `penstock up`, or name it with --server"
        return ClientError(details, code)
