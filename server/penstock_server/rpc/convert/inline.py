"""Documents inside of requests: of a run, a schedule, a plan.

Why: the message of a large one is decoded, and the document checked, by a process beside the server. What comes back is
the message without its document, and the document as it is stored, which this server takes as it is.

Invariants: only `taken_apart` says that a document was checked, never anything that a caller sends. It is that of the
call that this thread carries out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import recurring_run_pb2, run_pb2
from penstock_ir.errors import InvalidSpecError

from penstock_server.domain.pipeline import Submitted
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert.common import plain_struct
from penstock_server.services.documents import (
    SMALL_BYTES,
    Documents,
    raise_problems,
    reply_of_problems,
    reply_of_spec,
    spec_of_reply,
)
from penstock_server.workers.elsewhere import Elsewhere

_current: ContextVar[Submitted | None] = ContextVar("document_of_call", default=None)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where requests of this kind have their document."""

    request: Any
    field: str

    def document(self, message: Any) -> struct_pb2.Struct | None:
        *parents, name = self.field.split(".")
        for parent in parents:
            message = getattr(message, parent)
        return getattr(message, name) if message.HasField(name) else None


_PLACES = {
    f"/{file.DESCRIPTOR.services_by_name[service].full_name}/{method}": _Place(request, field)
    for file, service, method, request, field in (
        (run_pb2, "RunService", "CreateRun", run_pb2.CreateRunRequest, "run.pipeline_spec"),
        (
            recurring_run_pb2,
            "RecurringRunService",
            "CreateRecurringRun",
            recurring_run_pb2.CreateRecurringRunRequest,
            "recurring_run.pipeline_spec",
        ),
        (insight_pb2, "InsightService", "PlanPipeline", insight_pb2.PlanPipelineRequest, "pipeline_spec"),
    )
}


def is_large(method: str, message: bytes) -> bool:
    """Whether the message is one to take apart elsewhere. `method` is the full path of the RPC."""
    return len(message) > SMALL_BYTES and method in _PLACES


def taken_apart(elsewhere: Elsewhere, method: str, message: bytes) -> tuple[Any, Submitted | None]:
    """The decoded message, whose document is empty, and the document; None if it has none.

    Raises InvalidArgumentError, InvalidSpecError, and what `elsewhere` raises.
    """
    values, content = elsewhere.call(f"{__name__}:take_apart", {"method": method}, message)
    if "refused" in values:
        raise InvalidArgumentError(values["refused"])
    raise_problems(values)
    size, text = values["message_bytes"], values["text_bytes"]
    request = _PLACES[method].request.FromString(content[:size])
    if not text:
        return request, None
    return request, Submitted(content[size : size + text].decode(), spec_of_reply(values, content[size + text :]))


def take_apart(values: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """The task of another process: a message in, what `taken_apart` reads out."""
    place = _PLACES[values["method"]]
    try:
        message = place.request.FromString(content)
        document = place.document(message)
        if document is None:
            return {"message_bytes": len(content), "text_bytes": 0}, content
        plain = plain_struct(document, place.field)
        document.Clear()
        submitted = Documents().submitted(plain)
    except DecodeError as error:
        return {"refused": f"the message cannot be decoded: {str(error)[:200]}"}, b""
    except InvalidArgumentError as error:
        return {"refused": error.message}, b""
    except InvalidSpecError as error:
        return reply_of_problems(error)
    reply, specs = reply_of_spec(submitted.spec)
    rest, text = message.SerializeToString(), submitted.text.encode()
    return {**reply, "message_bytes": len(rest), "text_bytes": len(text)}, rest + text + specs


@contextmanager
def document_of_call(document: Submitted | None) -> Iterator[None]:
    """Within the block `inline_document` returns the document, unless it is None."""
    reset = _current.set(document)
    try:
        yield
    finally:
        _current.reset(reset)


def inline_document(message: struct_pb2.Struct, field: str) -> Mapping[str, Any] | Submitted:
    """The document in a request, checked already if the request was large.

    Raises InvalidArgumentError, which names the field.
    """
    return _current.get() or plain_struct(message, field)
