"""Multipart uploads of pipeline packages (api.md §1.3).

Invariants: parameters come from the query string; the part `uploadfile` is read in chunks and refused as soon as it is
too large; errors have the body that upstream's upload endpoints use.
"""

from __future__ import annotations

import json
from typing import Any

import grpc
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from google.protobuf.message import Message
from penstock_api.v1 import upload_pb2
from penstock_api.v1beta1 import pipeline_pb2 as pipeline_v1_pb2
from penstock_api.v2beta1 import pipeline_pb2

from penstock_server.gateway import calls, replies
from penstock_server.gateway.admission import BODY, Admission
from penstock_server.gateway.bodies import Body
from penstock_server.gateway.transcoder import to_json

_SERVICE = "/penstock.v1.PipelineUploadService"


class _UploadError(Exception):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Uploads:
    def __init__(self, caller: calls.Caller, admission: Admission, max_bytes: int) -> None:
        self._admission = admission
        self._max_bytes = max_bytes
        self._caller = caller

    async def pipeline(self, request: web.Request) -> web.StreamResponse:
        query = request.query

        def message(content: bytes, file_name: str, tags: dict[str, str]) -> Message:
            return upload_pb2.UploadPipelineRequest(
                content=content,
                file_name=file_name,
                name=query.get("name", ""),
                display_name=query.get("display_name", ""),
                description=query.get("description", ""),
                namespace=query.get("namespace", ""),
                tags=tags,
                code_source_url=query.get("code_source_url", ""),
            )

        return await self._upload(request, "UploadPipeline", message, "pipeline")

    async def version(self, request: web.Request) -> web.StreamResponse:
        query = request.query

        def message(content: bytes, file_name: str, tags: dict[str, str]) -> Message:
            return upload_pb2.UploadPipelineVersionRequest(
                content=content,
                file_name=file_name,
                pipeline_id=query.get("pipelineid", ""),
                name=query.get("name", ""),
                display_name=query.get("display_name", ""),
                description=query.get("description", ""),
                tags=tags,
                code_source_url=query.get("code_source_url", ""),
            )

        return await self._upload(request, "UploadPipelineVersion", message, "pipeline version")

    async def _upload(self, request: web.Request, method: str, message: Any, resource: str) -> web.StreamResponse:
        try:
            tags = _tags(request.query.get("tags", ""))
            content, file_name = await _content(request, self._max_bytes)
            async with self._admission.turn(request[BODY]):
                stored = await self._caller.unary(
                    f"{_SERVICE}/{method}",
                    message(content, file_name, tags),
                    calls.deadline(request),
                    calls.sent(request),
                )
            if "/v1beta1/" in request.path:
                stored = await self._read_as_v1beta1(request, stored)
        except _UploadError as error:
            return replies.upload_error(f"Failed to upload {resource}: {error}", str(error), error.status)
        except grpc.RpcError as error:
            status = replies.http_status(error.code())
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED):
                status = 400
            details = error.details() or error.code().name
            refused = replies.upload_error(f"Failed to upload {resource}: {details}", details, status)
            return replies.with_retry(refused, error)
        return replies.json_reply(to_json(stored))

    async def _read_as_v1beta1(self, request: web.Request, stored: Message) -> Message:
        """Reads the stored pipeline or version again, as a message of v1beta1."""
        if isinstance(stored, pipeline_pb2.PipelineVersion):
            rpc = "GetPipelineVersionV1"
            message: Message = pipeline_v1_pb2.GetPipelineVersionRequest(version_id=stored.pipeline_version_id)
        else:
            assert isinstance(stored, pipeline_pb2.Pipeline)
            rpc = "GetPipelineV1"
            message = pipeline_v1_pb2.GetPipelineRequest(id=stored.pipeline_id)
        sent = calls.sent(request)
        return await self._caller.unary(f"/api.PipelineService/{rpc}", message, calls.deadline(request), sent)


async def _content(request: web.Request, max_bytes: int) -> tuple[bytes, str]:
    if request.content_type != "multipart/form-data":
        raise _UploadError("the body must be multipart/form-data with a part `uploadfile`", 415)
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader) and part.name == "uploadfile":
                body = request[BODY]
                content = await _read_bounded(part, max_bytes, body)
                body.whole()
                return content, part.filename or ""
    except (ValueError, RuntimeError, AssertionError, HttpProcessingError) as error:
        raise _UploadError(f"the multipart body is broken: {error}") from error
    raise _UploadError("the part `uploadfile` is missing")


async def _read_bounded(part: BodyPartReader, max_bytes: int, body: Body) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(256 * 1024):
        content += chunk
        body.count(len(chunk))
        if len(content) > max_bytes:
            raise _UploadError(f"the file is larger than {max_bytes / 1024 / 1024:g} MiB", 413)
    return bytes(content)


def _tags(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UploadError(f"tags: no valid JSON: {error}") from error
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise _UploadError("tags: expected a JSON object of texts")
    return tags
