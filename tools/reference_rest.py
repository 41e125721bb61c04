"""The reference of the REST API, docs/api/rest.md, made from the OpenAPI document that the gateway serves.

Invariants: every route is in it once, under the service that answers; messages are described on the pages of the gRPC
API, to which it leads. Routes that no RPC has are described here, and one without a description is an error.

Example: python -m tools.reference_rest    # writes docs/api
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from tools import reference_grpc
from tools.reference_grpc import DIRECTORY, PACKAGES, link, package_of

_PLAIN = "http"
_INTRODUCTION = """# REST

Every route of the HTTP port, made by `make reference` from the OpenAPI document that the server has at
`/openapi.json`. What is in braces is a part of the path; other parameters go into the query string. A body is JSON
with fields of the message that is named, and so is a reply, in which empty fields are left out. How errors, lists,
times and large numbers look is in [the wire contract](../contract/api.md#2-requests-and-resources). All routes but
`/livez`, `/readyz`, `/metrics` and `/openapi.json` are served below `/pipeline`, too.

```
curl -s 'http://127.0.0.1:8888/apis/v2beta1/runs?page_size=5&sort_by=created_at%20desc'
curl -s 'http://127.0.0.1:8888/apis/v2beta1/runs?fields=runs.run_id,runs.state,next_page_token'
```
"""
_WITHOUT_RPC = """
## Routes without an RPC

Uploads, bytes, health, and what the web UI asks of its own server:
[contract, 1.3](../contract/api.md#13-uploads) and [4.2](../contract/api.md#42-routes-of-the-web-uis-own-server).
"""
_DESCRIBED = {
    "DownloadArtifact": "The bytes of an artifact: a file as it is, a directory as a tar file.",
    "ShowArtifact": "The first 10 MiB of an artifact as HTML for a frame, in which it runs and loads nothing.",
    "ReadEvents": "What a run decided, as JSON lines: `penstock-executor replay` reads it.",
    "WatchRun": "The changes of a run as Server-Sent Events, from `Last-Event-ID` or `after` on.",
    "WatchRuns": "A page of the list of runs as Server-Sent Events: the page as it is, then what changes on it.",
    "ReadLog": "The log of a task; with `follow=true` until the task has ended.",
    "GetHealthz": "That the server answers, with its version.",
    "UploadPipeline": "Creates a pipeline and its first version from a file.",
    "UploadPipelineVersion": "Adds a version from a file to the pipeline `pipelineid`.",
    "PreviewArtifact": "The content of an object for a preview, `peek` bytes at most.",
    "ReadStoredObject": "An object as it is, to be saved; a directory as a tar file.",
    "GetPod": "The Pod of a task, as the cluster has it or as the run's record tells.",
    "ListPodEvents": "Events of a task's Pod, with what it waits for.",
    "ReadPodLog": "The log of a Pod's task.",
    "GetLiveness": "200 while the process serves.",
    "GetReadiness": "200 when the server can work, 503 with the reasons when it cannot.",
    "GetMetrics": "Figures for Prometheus.",
    "GetOpenApi": "This reference for programs: OpenAPI 3.",
    "GetClusterName": "404: no cloud's metadata service is asked.",
    "GetProjectId": "404: no cloud's metadata service is asked.",
    "GetVisualizationsAllowed": "`false`: there are no visualizations.",
}


def pages() -> dict[Path, str]:
    """The content of the page, by its file."""
    document = json.loads((resources.files("penstock_server.gateway") / "openapi" / "openapi.json").read_text("utf-8"))
    sections: dict[str, list[str]] = {}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            sections.setdefault(operation["tags"][0], []).append(_row(verb, path, operation))
    text = _INTRODUCTION
    for package, (_, page) in PACKAGES.items():
        for service in (name for name in sections if package_of(name) == package):
            short = service.removeprefix(f"{package}.")
            text += f"\n## {short} of {page.removesuffix('.md')}\n\n"
            said = f"As [over gRPC]({page}#{short.lower()}). {reference_grpc.service_comment(service)}"
            text += reference_grpc.wrapped(said)
            text += _table(sections[service])
    return {DIRECTORY / "rest.md": text + _WITHOUT_RPC + _table(sections[_PLAIN])}


def _table(rows: list[str]) -> str:
    return "\n| route | meaning | query | body | reply |\n|---|---|---|---|---|\n" + "".join(rows)


def _row(verb: str, path: str, operation: dict[str, Any]) -> str:
    queries = ", ".join(f"`{one['name']}`" for one in operation["parameters"] if one["in"] == "query")
    body = _content(operation["requestBody"]["content"]) if "requestBody" in operation else ""
    reply = _content(operation["responses"]["200"]["content"])
    said = operation.get("description", "")
    if operation["tags"] == [_PLAIN]:
        said = _DESCRIBED[operation["operationId"].partition(".")[0]]
    said = said.replace("|", "\\|")
    return f"| `{verb.upper()} {path}` | {said} | {queries} | {body} | {reply} |\n"


def _content(content: dict[str, Any]) -> str:
    """What a body is: a message, or the type of something else."""
    (kind, described) = next(iter(content.items()))
    name = described["schema"].get("$ref", "").rpartition("/")[2]
    if name:
        return link(name)
    return "`{}`" if described["schema"].get("additionalProperties") is False else f"`{kind}`"


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for path, content in {**reference_grpc.pages(), **pages()}.items():
        path.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
