"""Plain HTTP against the gateway, so that tests see statuses and bodies as they are."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    verb: str,
    url: str,
    document: Any = None,
    *,
    data: bytes | None = None,
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    if document is not None:
        data = json.dumps(document).encode()
    sent = {"Content-Type": content_type or "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, method=verb, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return Reply(reply.status, reply.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read())


def upload(
    http: str, content: bytes, *, file_name: str = "pipeline.yaml", name: str = "", version: str = "v2beta1"
) -> Reply:
    url = f"{http}/apis/{version}/pipelines/upload?name={name or 'p-' + uuid.uuid4().hex[:12]}"
    return send_file(url, content, file_name)


def send_file(url: str, content: bytes, file_name: str, headers: Mapping[str, str] | None = None) -> Reply:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="uploadfile"; filename="{file_name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return call("POST", url, data=body, content_type=f"multipart/form-data; boundary={boundary}", headers=headers)


def under_way(address: str, method: str) -> float:
    """How many calls of a method of InsightService the server at `address` has not answered yet."""
    name = f'penstock_rpc_under_way{{method="/penstock.v1.InsightService/{method}"}} '
    lines = call("GET", f"{address}/metrics").body.decode().splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))
