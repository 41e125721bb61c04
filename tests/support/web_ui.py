"""How the web UI makes requests of what it was told (api.md §4.2, §4.4): the calls, without the pages."""

from __future__ import annotations

import struct
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_service_pb2 as mlmd

_SCHEMES = {"gs": "gcs", "minio": "minio", "s3": "s3", "http": "http", "https": "https", "volume": "volume"}


@dataclass(frozen=True)
class Storage:
    source: str
    bucket: str
    key: str

    @staticmethod
    def of(uri: str) -> Storage:
        """Raises ValueError for a URI that the UI cannot take apart."""
        scheme, separator, rest = uri.partition("://")
        if not separator or scheme not in _SCHEMES:
            raise ValueError(f"unsupported storage path: {uri}")
        bucket, _, key = rest.partition("/")
        return Storage(_SCHEMES[scheme], bucket, key)

    def content(self, **more: str) -> str:
        """What a preview, an HTML or a Markdown viewer asks for."""
        asked = {"source": self.source, "namespace": "kubeflow", **more, "bucket": self.bucket, "key": self.key}
        return "artifacts/get?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items())

    def download(self) -> str:
        """The link, where a key stands as it is."""
        return f"artifacts/{self.source}/{self.bucket}/{self.key}?namespace=kubeflow"


def metadata(http: str, method: str, request: Message) -> Any:
    """A call to ML Metadata as gRPC-Web."""
    body = request.SerializeToString()
    sent = urllib.request.Request(
        f"{http}/ml_metadata.MetadataStoreService/{method}",
        data=struct.pack(">BI", 0, len(body)) + body,
        headers={"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1", "Sec-Fetch-Site": "same-origin"},
    )
    with urllib.request.urlopen(sent, timeout=30) as reply:
        content = reply.read()
    _, length = struct.unpack(">BI", content[:5])
    return getattr(mlmd, f"{method}Response").FromString(content[5 : 5 + length])


def artifacts(http: str, run_id: str) -> dict[str, Any]:
    """The artifacts that the page of a run knows, by what they are called."""
    named = mlmd.GetContextByTypeAndNameRequest(type_name="system.PipelineRun", context_name=run_id)
    context = metadata(http, "GetContextByTypeAndName", named).context
    asked = mlmd.GetArtifactsByContextRequest(context_id=context.id)
    found = metadata(http, "GetArtifactsByContext", asked).artifacts
    return {one.custom_properties["display_name"].string_value: one for one in found}
