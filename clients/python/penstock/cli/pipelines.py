"""`penstock pipelines`: upload, list, delete."""

from __future__ import annotations

from pathlib import Path

import click
from penstock_api.v1 import upload_pb2
from penstock_api.v2beta1 import pipeline_pb2

from penstock.cli.common import namespace_option, print_message, print_messages, print_table, say, server_options
from penstock.client import Client


@click.group()
def pipelines() -> None:
    """Upload and list pipelines.

    Example: penstock pipelines upload pipeline.yaml --name train
    """


@pipelines.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", default="", help="Name of the pipeline or version; the file's name unless given.")
@click.option("--description", default="")
@click.option("--version-of", default="", metavar="PIPELINE_ID", help="Add a version to this pipeline instead.")
@namespace_option
@server_options
def upload(
    file: Path, name: str, description: str, version_of: str, namespace: str, client: Client, as_json: bool
) -> None:
    """Upload a compiled pipeline (YAML, JSON, zip or tar.gz).

    Example: penstock pipelines upload pipeline.yaml --name train
    """
    content = file.read_bytes()
    if version_of:
        created = client.call(
            client.uploads.UploadPipelineVersion,
            upload_pb2.UploadPipelineVersionRequest(
                content=content, file_name=file.name, pipeline_id=version_of, name=name, description=description
            ),
        )
        identifier = created.pipeline_version_id
    else:
        created = client.call(
            client.uploads.UploadPipeline,
            upload_pb2.UploadPipelineRequest(
                content=content, file_name=file.name, name=name, description=description, namespace=namespace
            ),
        )
        identifier = created.pipeline_id
    if as_json:
        print_message(created)
    else:
        say(identifier)


@pipelines.command("list")
@namespace_option
@server_options
def list_pipelines(namespace: str, client: Client, as_json: bool) -> None:
    """List pipelines, newest first.

    Example: penstock pipelines list --json
    """
    from penstock import render

    listed_pipelines = list(client.list_pipelines(namespace=namespace, sort_by="created_at desc"))
    if as_json:
        print_messages(listed_pipelines)
        return
    rows = [
        (pipeline.pipeline_id, pipeline.name, render.moment(pipeline.created_at), pipeline.description)
        for pipeline in listed_pipelines
    ]
    print_table(render.table(("pipeline", "name", "created", "description"), rows))


@pipelines.command("delete")
@click.argument("pipeline_id")
@click.option("--cascade", is_flag=True, help="Delete its versions as well.")
@server_options
def delete(pipeline_id: str, cascade: bool, client: Client, as_json: bool) -> None:
    """Delete a pipeline.

    Example: penstock pipelines delete 453660ed-2ccf-480f-9627-e56a7e3321e7 --cascade
    """
    request = pipeline_pb2.DeletePipelineRequest(pipeline_id=pipeline_id, cascade=cascade)
    client.call(client.pipelines.DeletePipeline, request)
    say("{}" if as_json else f"{pipeline_id} is deleted", err=not as_json)
