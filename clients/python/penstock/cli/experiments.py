"""`penstock experiments`: create, list, archive, unarchive, delete."""

from __future__ import annotations

from typing import Any

import click
from penstock_api.v2beta1 import experiment_pb2 as pb

from penstock.cli.common import namespace_option, print_message, print_messages, print_table, say, server_options
from penstock.client import Client


@click.group()
def experiments() -> None:
    """Create and list experiments.

    Example: penstock experiments list
    """


@experiments.command("create")
@click.argument("name")
@click.option("--description", default="")
@namespace_option
@server_options
def create(name: str, description: str, namespace: str, client: Client, as_json: bool) -> None:
    """Create an experiment.

    Example: penstock experiments create nightly --description 'Runs of the night'
    """
    request = pb.CreateExperimentRequest()
    request.experiment.display_name = name
    request.experiment.namespace = namespace
    request.experiment.description = description
    created = client.call(client.experiments.CreateExperiment, request)
    if as_json:
        print_message(created)
    else:
        say(created.experiment_id)


@experiments.command("list")
@namespace_option
@server_options
def list_experiments(namespace: str, client: Client, as_json: bool) -> None:
    """List experiments, newest first.

    Example: penstock experiments list --json
    """
    from penstock import render

    listed_experiments = list(client.list_experiments(namespace=namespace, sort_by="created_at desc"))
    if as_json:
        print_messages(listed_experiments)
        return
    rows = [
        (
            experiment.experiment_id,
            experiment.display_name,
            pb.Experiment.StorageState.Name(experiment.storage_state),
            render.moment(experiment.created_at),
            render.moment(experiment.last_run_created_at),
        )
        for experiment in listed_experiments
    ]
    print_table(render.table(("experiment", "name", "state", "created", "last run"), rows))


def _action(name: str, text: str, method: str, request: Any, done: str) -> None:
    @experiments.command(
        name, help=f"{text}\n\nExample: penstock experiments {name} 929fd88b-845b-4c33-bc01-7f69c6996538"
    )
    @click.argument("experiment_id")
    @server_options
    def command(experiment_id: str, client: Client, as_json: bool) -> None:
        client.call(getattr(client.experiments, method), request(experiment_id=experiment_id))
        say("{}" if as_json else f"{experiment_id} {done}", err=not as_json)


_action(
    "archive", "Archive an experiment and its runs.", "ArchiveExperiment", pb.ArchiveExperimentRequest, "is archived"
)
_action("unarchive", "Bring an experiment back.", "UnarchiveExperiment", pb.UnarchiveExperimentRequest, "is available")
_action("delete", "Delete an experiment; its runs stay.", "DeleteExperiment", pb.DeleteExperimentRequest, "is deleted")
