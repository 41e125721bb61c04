"""A channel to a server with deadlines, bounded retries and paging.

Invariants: every unary call has a deadline; reads are retried a few times while the server is unavailable, by the
channel itself (gRPC service config, gRFC A6), writes never; a call that the server refuses for its number, and says
when to try again, waits and is tried again within its deadline; every failure is a `ClientError` with a one-line
message.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from penstock_api.v1 import (
    access_pb2,
    access_pb2_grpc,
    insight_pb2,
    insight_pb2_grpc,
    pool_pb2,
    pool_pb2_grpc,
    upload_pb2_grpc,
    watch_pb2_grpc,
)
from penstock_api.v2beta1 import (
    experiment_pb2,
    experiment_pb2_grpc,
    pipeline_pb2,
    pipeline_pb2_grpc,
    recurring_run_pb2,
    recurring_run_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)

from penstock.call_credentials import BearerToken
from penstock.patience import Patience

DEADLINE_SECONDS = 30.0
_PAGE = 100
_TASKS_OF_A_PAGE = 500
_MESSAGE_BYTES = 128 * 1024 * 1024
_SERVICES = (
    (experiment_pb2, "ExperimentService"),
    (pipeline_pb2, "PipelineService"),
    (run_pb2, "RunService"),
    (recurring_run_pb2, "RecurringRunService"),
    (insight_pb2, "InsightService"),
    (access_pb2, "AccessService"),
    (pool_pb2, "PoolService"),
)
_FINAL_STATES = (run_pb2.SUCCEEDED, run_pb2.FAILED, run_pb2.SKIPPED, run_pb2.CANCELED)


def _service_config() -> str:
    """A retry policy for the reading methods, which are recognized by their names."""
    reads = [
        {"service": service.full_name, "method": method.name}
        for service in (file.DESCRIPTOR.services_by_name[name] for file, name in _SERVICES)
        for method in service.methods
        if method.name.startswith(("Get", "List")) and not method.server_streaming
    ]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": reads, "retryPolicy": policy}]})


class ClientError(Exception):
    """A call failed; `code` is the gRPC status."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


def _content(token_file: Path | None) -> str:
    """Raises ClientError."""
    try:
        return token_file.read_text("utf-8").strip() if token_file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"the token cannot be read: {error}", grpc.StatusCode.UNAUTHENTICATED) from error


class Client:
    """Stubs of one server. A context manager; `target` is HOST:PORT.

    With `tls` it speaks TLS and trusts the authorities that gRPC comes with, with `ca_certificate` (PEM) that one.
    `client_certificate` is one's own certificate and its key, in PEM, for servers that ask for one. `token` is sent
    with every call, for servers that ask who calls; `token_file` holds one, and is read at every call, since what
    renews a token replaces its file.

    `channel` is for stubs of other services, such as v1beta1's.
    """

    def __init__(
        self,
        target: str,
        *,
        ca_certificate: bytes | None = None,
        client_certificate: tuple[bytes, bytes] | None = None,
        tls: bool = False,
        token: str = "",
        token_file: Path | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        options = [
            ("grpc.service_config", _service_config()),
            ("grpc.enable_retries", 1),
            # A server restarts within seconds; gRPC's default backoff grows to two minutes.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.primary_user_agent", "penstock-python/0.1.0"),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ]
        if tls or ca_certificate or client_certificate:
            certificate, key = client_certificate or (None, None)
            credentials = grpc.ssl_channel_credentials(ca_certificate, key, certificate)
            self.channel = grpc.secure_channel(target, credentials, options=options)
        else:
            self.channel = grpc.insecure_channel(target, options=options)
        if token or token_file is not None:
            bearer = BearerToken(lambda: token or _content(token_file))
            self.channel = grpc.intercept_channel(self.channel, bearer)
        self.target = target
        self.deadline = deadline
        self.experiments = experiment_pb2_grpc.ExperimentServiceStub(self.channel)
        self.pipelines = pipeline_pb2_grpc.PipelineServiceStub(self.channel)
        self.runs = run_pb2_grpc.RunServiceStub(self.channel)
        self.recurring_runs = recurring_run_pb2_grpc.RecurringRunServiceStub(self.channel)
        self.insight = insight_pb2_grpc.InsightServiceStub(self.channel)
        self.watches = watch_pb2_grpc.WatchServiceStub(self.channel)
        self.access = access_pb2_grpc.AccessServiceStub(self.channel)
        self.pools = pool_pb2_grpc.PoolServiceStub(self.channel)
        self.uploads = upload_pb2_grpc.PipelineUploadServiceStub(self.channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel, which cancels pending calls and streams."""
        self.channel.close()

    def call(self, method: Callable[..., Any], request: Any, deadline: float | None = None) -> Any:
        """One unary call, of `deadline` seconds together with pauses that the server asks for. Raises ClientError."""
        patience = Patience(deadline or self.deadline)
        while True:
            try:
                return method(request, timeout=patience.left())
            except grpc.RpcError as error:
                if not patience.waited(error):
                    raise self._to_client_error(error) from error

    def stream(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """A server stream without a deadline, which ends when the server ends it. One that is refused for now is begun
        again, as a call is. Raises ClientError.
        """
        patience, begun = Patience(self.deadline), False
        while True:
            try:
                for message in method(request):
                    begun = True
                    yield message
            except grpc.RpcError as error:
                if begun or not patience.waited(error):
                    raise self._to_client_error(error) from error
            else:
                return

    def list_experiments(self, **filters: Any) -> Iterator[experiment_pb2.Experiment]:
        """Iterates over the experiments of all pages; `filters` are fields of ListExperimentsRequest. Raises
        ClientError.
        """
        request = experiment_pb2.ListExperimentsRequest(page_size=_PAGE, **filters)
        return self._pages(self.experiments.ListExperiments, request, "experiments")

    def list_pipelines(self, **filters: Any) -> Iterator[pipeline_pb2.Pipeline]:
        """Iterates over the pipelines of all pages; `filters` are fields of ListPipelinesRequest. Raises
        ClientError.
        """
        request = pipeline_pb2.ListPipelinesRequest(page_size=_PAGE, **filters)
        return self._pages(self.pipelines.ListPipelines, request, "pipelines")

    def list_runs(self, **filters: Any) -> Iterator[run_pb2.Run]:
        """Iterates over the runs of all pages; `filters` are fields of ListRunsRequest. Raises ClientError."""
        return self._pages(self.runs.ListRuns, run_pb2.ListRunsRequest(page_size=_PAGE, **filters), "runs")

    def list_tasks(self, run_id: str, **filters: Any) -> Iterator[insight_pb2.Task]:
        """Iterates over the tasks of all pages; `filters` are fields of ListTasksRequest. Raises ClientError."""
        request = insight_pb2.ListTasksRequest(run_id=run_id, page_size=_TASKS_OF_A_PAGE, **filters)
        return self._pages(self.insight.ListTasks, request, "tasks")

    def list_artifacts(self, **filters: Any) -> Iterator[insight_pb2.Artifact]:
        """Iterates over the artifacts of all pages; `filters` are fields of ListArtifactsRequest. Raises
        ClientError.
        """
        request = insight_pb2.ListArtifactsRequest(page_size=_PAGE, **filters)
        return self._pages(self.insight.ListArtifacts, request, "artifacts")

    def list_recurring_runs(self, **filters: Any) -> Iterator[recurring_run_pb2.RecurringRun]:
        """Iterates over the recurring runs of all pages; `filters` are fields of ListRecurringRunsRequest. Raises
        ClientError.
        """
        request = recurring_run_pb2.ListRecurringRunsRequest(page_size=_PAGE, **filters)
        return self._pages(self.recurring_runs.ListRecurringRuns, request, "recurringRuns")

    def list_pipeline_versions(self, pipeline_id: str, **filters: Any) -> Iterator[pipeline_pb2.PipelineVersion]:
        """Iterates over the versions of all pages; `filters` are fields of ListPipelineVersionsRequest. Raises
        ClientError.
        """
        request = pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=pipeline_id, page_size=_PAGE, **filters)
        return self._pages(self.pipelines.ListPipelineVersions, request, "pipeline_versions")

    def list_tokens(self, **filters: Any) -> Iterator[access_pb2.Token]:
        """Iterates over the API tokens of all pages; `filters` are fields of ListTokensRequest. Raises ClientError."""
        return self._pages(self.access.ListTokens, access_pb2.ListTokensRequest(page_size=_PAGE, **filters), "tokens")

    def list_role_bindings(self, **filters: Any) -> Iterator[access_pb2.RoleBinding]:
        """Iterates over the role bindings of all pages; `filters` are fields of ListRoleBindingsRequest. Raises
        ClientError.
        """
        request = access_pb2.ListRoleBindingsRequest(page_size=_PAGE, **filters)
        return self._pages(self.access.ListRoleBindings, request, "role_bindings")

    def list_audit_events(self, request: access_pb2.ListAuditEventsRequest) -> Iterator[access_pb2.AuditEvent]:
        """Iterates over the lines of the audit log, newest first, page by page. Raises ClientError."""
        request.page_size = request.page_size or _PAGE
        return self._pages(self.access.ListAuditEvents, request, "audit_events")

    def wait_for_run(self, run_id: str, timeout: float | None = None) -> run_pb2.Run:
        """Waits until the run has ended, and returns it without its tasks and its document. Raises TimeoutError after
        `timeout` seconds, ClientError.
        """
        request = run_pb2.GetRunRequest(run_id=run_id, view=run_pb2.GetRunRequest.BASIC)
        until = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        # No retry of a failed call: it polls for a state, and an error ends it.
        while True:
            run: run_pb2.Run = self.call(self.runs.GetRun, request)
            if run.state in _FINAL_STATES:
                return run
            if until is not None and time.monotonic() + pause > until:
                raise TimeoutError(f"run {run_id} is {run_pb2.RuntimeState.Name(run.state)} after {timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _pages(self, method: Callable[..., Any], request: Any, field: str) -> Iterator[Any]:
        while True:
            reply = self.call(method, request)
            yield from getattr(reply, field)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def _to_client_error(self, error: grpc.RpcError) -> ClientError:
        code: grpc.StatusCode = error.code()
        details = error.details() or code.name
        if code is grpc.StatusCode.UNAVAILABLE and "connect" in details:
            details = f"no server answers at {self.target}; start one with `penstock up`, or name it with --server"
        if code is grpc.StatusCode.UNAUTHENTICATED:
            details += "; name a token that counts with --token-file or PENSTOCK_TOKEN, or as `token` of the client"
        return ClientError(details, code)
