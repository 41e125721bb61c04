"""`penstock plan FILE`: what a run would do, and everything that is wrong with it, without running it."""

from __future__ import annotations

from pathlib import Path

import click
from penstock_api.v1 import insight_pb2

from penstock import documents
from penstock.cli.common import print_message, print_table, say, server_options
from penstock.client import Client


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="An argument; may be repeated.")
@click.option("--pods", is_flag=True, help="Show what each Pod would be started with.")
@server_options
def plan(file: Path, params: tuple[str, ...], pods: bool, client: Client, as_json: bool) -> None:
    """Show what a run would do; exit code 1 when something is wrong with the pipeline.

    Example: penstock plan pipeline.yaml -p rate=0.1 --pods
    """
    from google.protobuf import json_format

    from penstock import render
    from penstock.whole_numbers import parse_dict

    document = documents.load(file)
    request = insight_pb2.PlanPipelineRequest()
    try:
        parse_dict(document, request.pipeline_spec)
        parse_dict({"parameters": documents.arguments(document, params)}, request)
    except json_format.ParseError as error:
        raise click.ClickException(f"{file}: {error}") from error
    response = client.call(client.insight.PlanPipeline, request)
    if as_json:
        print_message(response)
    else:
        if response.tasks:
            print_table(render.plan_tree(response, documents.name_of(document), pods=pods))
        for problem in response.problems:
            say(f"{problem.place}: {problem.message}", err=True)
        if response.truncated:
            say("the plan is longer than what is shown", err=True)
    raise SystemExit(1 if response.problems else 0)
