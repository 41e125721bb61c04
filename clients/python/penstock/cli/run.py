"""`penstock run FILE`: a compiled pipeline, once, without storing it as a pipeline."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import click
from penstock_api.v2beta1 import experiment_pb2, run_pb2

from penstock import documents
from penstock.cli.common import namespace_option, print_message, say, server_options
from penstock.client import Client


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="An argument; may be repeated.")
@click.option("--experiment", default="", envvar="PENSTOCK_EXPERIMENT", help="Experiment by name, made if needed.")
@click.option("--name", default="", help="Name of the run; the pipeline's with the time unless given.")
@click.option("--pipeline-root", default="", envvar="PENSTOCK_PIPELINE_ROOT", help="Where the artifacts go.")
@click.option("--fail-fast", is_flag=True, help="End the run when a task has failed; exit tasks still run.")
@click.option("--caching/--no-caching", default=None, help="Whether cached results count; the server's unless given.")
@click.option("--max-cache-age", type=click.IntRange(min=0), default=0, help="Seconds; older results do not count.")
@click.option("--deadline", type=click.IntRange(min=0), default=0, help="Seconds after which the run is ended.")
@click.option(
    "--infrastructure-retries",
    type=click.IntRange(0, 100),
    default=None,
    help="Further attempts of a task after failures of the platform; the server's setting unless given.",
)
@click.option(
    "--priority",
    type=click.IntRange(-1000, 1000),
    default=0,
    help="The highest comes first of what waits; a point counts as much as a minute of waiting.",
)
@click.option("--pool", default="", help="Each task takes a slot of this pool, besides what it asks for itself.")
@click.option(
    "--workers",
    type=click.Choice(["off", "run", "namespace"]),
    default=None,
    help="How far tasks share Pods that take one after another; no further than the namespace allows.",
)
@click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="To find it by; may be repeated.")
@click.option("--flat-collected", is_flag=True, help="dsl.Collected over nested loops gives one flat list.")
@click.option("--watch", is_flag=True, help="Follow the run; exit code 0 when it succeeds, 1 when it fails.")
@namespace_option
@server_options
def run(
    file: Path,
    params: tuple[str, ...],
    experiment: str,
    name: str,
    pipeline_root: str,
    fail_fast: bool,
    caching: bool | None,
    max_cache_age: int,
    deadline: int,
    infrastructure_retries: int | None,
    priority: int,
    pool: str,
    workers: str | None,
    labels: tuple[str, ...],
    flat_collected: bool,
    watch: bool,
    namespace: str,
    client: Client,
    as_json: bool,
) -> None:
    """Run a compiled pipeline.

    Example: penstock run pipeline.yaml -p rate=0.1 -p 'layers=[64, 32]' --label team=vision --watch

    Example: penstock run many_short_tasks.yaml --workers run
    """
    from google.protobuf import json_format

    from penstock.whole_numbers import parse_dict

    document = documents.load(file)
    request = run_pb2.CreateRunRequest()
    new = request.run
    new.display_name = name or f"{documents.name_of(document)} {datetime.now().astimezone():%Y-%m-%d %H-%M-%S}"
    try:
        parse_dict(document, new.pipeline_spec)
        arguments = documents.arguments(document, params)
        parse_dict({"parameters": arguments}, new.runtime_config)
    except json_format.ParseError as error:
        raise click.ClickException(f"{file}: {error}") from error
    new.runtime_config.pipeline_root = pipeline_root
    new.options.fail_fast = fail_fast
    if caching is not None:
        new.options.caching = caching
    new.options.max_cache_age_seconds = max_cache_age
    new.options.deadline_seconds = deadline
    if infrastructure_retries is not None:
        new.options.infrastructure_retries = infrastructure_retries
    new.options.priority = priority
    new.options.pool = pool
    new.options.workers = workers or ""
    new.options.flat_collected = flat_collected
    new.labels.update(label_pairs(labels))
    if experiment or namespace:
        # A namespace has no experiment that the server would take by itself; the kfp SDK names this one too.
        new.experiment_id = experiment_id(client, experiment or "Default", namespace)
    created = client.call(client.runs.CreateRun, request)
    if not watch:
        if as_json:
            print_message(created)
        else:
            say(created.run_id)
            say(f"follow it with: penstock runs wait {created.run_id} --watch", err=True)
        return
    finished = follow(client, created.run_id, quiet=as_json)
    if as_json:
        print_message(finished)
    raise SystemExit(0 if finished.state == run_pb2.SUCCEEDED else 1)


def label_pairs(labels: tuple[str, ...]) -> dict[str, str]:
    """Of `--label KEY=VALUE`. Raises click.BadParameter."""
    pairs: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{label!r} is not of the form KEY=VALUE", param_hint="--label")
        pairs[key] = value
    return pairs


def find_experiment(client: Client, name: str, namespace: str) -> str:
    """The id of an experiment by name; empty when there is none. Raises ClientError."""
    for existing in client.list_experiments(namespace=namespace):
        if existing.display_name == name:
            return existing.experiment_id
    return ""


def experiment_id(client: Client, name: str, namespace: str) -> str:
    """The id of an experiment by name, which is created if it does not exist. Raises ClientError."""
    found = find_experiment(client, name, namespace)
    if found:
        return found
    request = experiment_pb2.CreateExperimentRequest()
    request.experiment.display_name = name
    request.experiment.namespace = namespace
    return str(client.call(client.experiments.CreateExperiment, request).experiment_id)


def follow(client: Client, run_id: str, *, quiet: bool = False, timeout: float = 0.0) -> run_pb2.Run:
    """Shows the tasks until the run has ended; Ctrl-C stops watching, not the run. Raises click.ClickException on
    timeout.
    """
    from penstock_api.v1 import insight_pb2
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from penstock import render

    console = Console(stderr=True, quiet=quiet)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    line = bar.add_task("waiting", total=None)
    until = time.monotonic() + timeout if timeout else None
    pause = 0.2
    try:
        with Live(console=console, refresh_per_second=8, transient=not console.is_terminal) as live:
            # No retry of a failed call: it polls for a state, and an error ends it.
            while True:
                current: run_pb2.Run = client.call(client.runs.GetRun, run_pb2.GetRunRequest(run_id=run_id))
                tasks = client.call(client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run_id)).tasks
                done, total = render.progress(tasks)
                state = run_pb2.RuntimeState.Name(current.state)
                bar.update(line, description=state.lower(), completed=done, total=total or None)
                live.update(Group(render.task_table(tasks, int(time.time() * 1000)), bar))
                if ended(current.state):
                    break
                if until is not None and time.monotonic() > until:
                    raise click.ClickException(f"run {run_id} is still {state} after {timeout:g} s")
                time.sleep(pause)
                pause = min(pause * 1.2, 2.0)
    except KeyboardInterrupt:
        say(f"\nthe run goes on; end it with: penstock runs terminate {run_id}", err=True)
        raise SystemExit(130) from None
    if not quiet and not console.is_terminal:
        console.print(render.task_table(tasks, int(time.time() * 1000)))
    console.print(
        f"run {run_id}",
        render.state_text(run_pb2.RuntimeState.Name(current.state)),
        render.shown(current.error.message),
    )
    return current


def ended(state: int) -> bool:
    """Whether a `RuntimeState` of v2beta1 is a final one."""
    return state in (run_pb2.SUCCEEDED, run_pb2.FAILED, run_pb2.SKIPPED, run_pb2.CANCELED)
