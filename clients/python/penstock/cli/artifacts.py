"""`penstock artifacts`: list, get."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click
from penstock_api.v1 import insight_pb2

from penstock.cli.common import (
    namespace_option,
    print_chunks,
    print_message,
    print_messages,
    print_table,
    say,
    server_options,
)
from penstock.client import Client


@click.group()
def artifacts() -> None:
    """List and download artifacts.

    Example: penstock artifacts list --type system.Model
    """


@artifacts.command("list")
@click.option("--run", "run_id", default="", help="Only of this run.")
@click.option("--type", "type_name", default="", help="Only of this type, such as system.Model.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Newest so many.")
@namespace_option
@server_options
def list_artifacts(run_id: str, type_name: str, limit: int, namespace: str, client: Client, as_json: bool) -> None:
    """List artifacts, newest first.

    Example: penstock artifacts list --type system.Model --limit 5
    """
    from penstock import render

    # A run says which namespace it is.
    place = {"run_id": run_id} if run_id else {"namespace": namespace}
    listed_artifacts = list(islice(client.list_artifacts(type=type_name, **place), limit))
    if as_json:
        print_messages(listed_artifacts)
        return
    rows = [
        (artifact.name, artifact.type, artifact.task_path, artifact.port, artifact.uri) for artifact in listed_artifacts
    ]
    print_table(render.table(("artifact", "type", "task", "port", "uri"), rows))


@artifacts.command("get")
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; stdout unless given."
)
@server_options
def get(name: str, output: Path | None, client: Client, as_json: bool) -> None:
    """Download an artifact (a directory comes as a tar stream); with --json its record only.

    Example: penstock artifacts get 0d3c0f52-5a52-5a39-8f0c-8d2f4a0c1c3d -o model.pkl
    """
    if as_json:
        print_message(client.call(client.insight.GetArtifact, insight_pb2.GetArtifactRequest(name=name)))
        return
    chunks = client.stream(client.insight.ReadArtifact, insight_pb2.ReadArtifactRequest(name=name))
    if output is None:
        print_chunks(chunk.data for chunk in chunks)
        return
    first = next(chunks, None)
    with output.open("wb") as target:
        if first is not None:
            target.write(first.data)
        for chunk in chunks:
            target.write(chunk.data)
    say(f"wrote {output} ({output.stat().st_size} bytes)", err=True)
