"""Runs cases against one server through its gRPC API, uploads through REST."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from penstock import documents
from penstock.client import Client, ClientError
from penstock.whole_numbers import parse_dict, to_dict
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tools.conformance.check import RunView, TaskView, cache_misses, differences
from tools.conformance.index import Case, Put, Upload, argument
from tools.conformance.outcome import Outcome, outcome_of
from tools.embedded import Embedded

_MAX_CONTENT = 1 << 20


@dataclass(slots=True)
class Result:
    name: str
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    run_ids: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    """Of the first run."""

    @property
    def passed(self) -> bool:
        return not self.problems


class Runner:
    """`scratch` is a directory for files that tasks share, `put` leaves what they import."""

    def __init__(self, up: Embedded, scratch: Path, put: Put, timeout: float) -> None:
        self._http = up.http
        self._client = Client(up.grpc)
        self._scratch = scratch
        self._put = put
        self._timeout = timeout

    def close(self) -> None:
        self._client.close()

    def run(self, case: Case) -> Result:
        """Runs a case. Failures of the pipeline or the server are part of the result, not exceptions."""
        result = Result(case.name)
        started = time.monotonic()
        try:
            first = self._finished(case, result)
            result.outcome = outcome_of(first)
            result.problems += differences(case.record, first)
            if case.record.get("expect_cache_hit_on_second_run"):
                second = self._finished(case, result)
                result.problems += [f"second run: {one}" for one in differences(case.record, second)]
                result.problems += cache_misses(second)
        except (ClientError, documents.BadFileError, json_format.ParseError, TimeoutError) as error:
            result.problems.append(f"{type(error).__name__}: {error}")
        result.seconds = time.monotonic() - started
        return result

    def upload(self, case: Upload) -> Result:
        result = Result(f"upload {case.name}")
        started = time.monotonic()
        status, body = self._post(case.file)
        if status != case.http_status:
            result.problems.append(f"HTTP {status}, expected {case.http_status}: {body[:300]!r}")
        elif status != 200:
            message = json.loads(body).get("error_message", "")
            if case.error not in message:
                result.problems.append(f"error_message {message!r}, expected it to hold {case.error!r}")
        result.seconds = time.monotonic() - started
        return result

    def _finished(self, case: Case, result: Result) -> RunView:
        request = run_pb2.CreateRunRequest()
        request.run.display_name = f"{case.name} {len(result.run_ids) + 1}"
        parse_dict(documents.load(case.file), request.run.pipeline_spec)
        parameters = {
            key: argument(value, self._scratch, self._put)
            for key, value in (case.record.get("parameters") or {}).items()
        }
        parse_dict({"parameters": parameters}, request.run.runtime_config)
        run_id = self._client.call(self._client.runs.CreateRun, request).run_id
        result.run_ids.append(run_id)
        until = time.monotonic() + self._timeout
        pause = 0.05
        while True:
            run = self._client.call(self._client.runs.GetRun, run_pb2.GetRunRequest(run_id=run_id))
            if run.state in (run_pb2.SUCCEEDED, run_pb2.FAILED, run_pb2.SKIPPED, run_pb2.CANCELED):
                return self._view(run)
            if time.monotonic() > until:
                raise TimeoutError(f"still {run_pb2.RuntimeState.Name(run.state)} after {self._timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 1.3, 1.0)

    def _view(self, run: run_pb2.Run) -> RunView:
        listed = self._client.call(self._client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run.run_id))
        tasks = [
            TaskView(
                path=one.path,
                kind=one.kind,
                state=one.state,
                attempts=one.attempts,
                error=one.error,
                outputs=to_dict(one.outputs),
                artifacts={port: list(names.names) for port, names in one.output_artifacts.items()},
            )
            for one in listed.tasks
        ]
        metadata: dict[str, Mapping[str, Any]] = {
            one.name: to_dict(one.metadata) for one in self._client.list_artifacts(run_id=run.run_id)
        }
        return RunView(
            state=run_pb2.RuntimeState.Name(run.state),
            error=run.error.message,
            tasks=tasks,
            content=self._content,
            metadata=metadata,
        )

    def _content(self, name: str) -> bytes:
        request = insight_pb2.ReadArtifactRequest(name=name, max_bytes=_MAX_CONTENT)
        return b"".join(chunk.data for chunk in self._client.stream(self._client.insight.ReadArtifact, request))

    def _post(self, file: Path) -> tuple[int, bytes]:
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="uploadfile"; filename="{file.name}"\r\n'
        body = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + file.read_bytes()
        request = urllib.request.Request(
            f"{self._http}/apis/v2beta1/pipelines/upload?name=upload-{uuid.uuid4().hex[:12]}",
            data=body + f"\r\n--{boundary}--\r\n".encode(),
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
