"""`penstock runs`: list, get, compare, tasks, attempts, timeline, wait, logs, why, events, terminate, retry, archive,
unarchive, delete.
"""

from __future__ import annotations

import time
from typing import Any

import click
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from penstock.cli.attempts import attempts, timeline
from penstock.cli.common import (
    namespace_option,
    print_chunks,
    print_message,
    print_messages,
    print_table,
    say,
    server_options,
)
from penstock.cli.compare import compare
from penstock.cli.filters import equal, filter_text, of_parameter
from penstock.cli.listed_runs import run_duration, run_table, show_runs
from penstock.cli.run import find_experiment, follow, label_pairs
from penstock.client import Client

_NEWEST = "created_at desc"
# What a page of the API has at most.
_MOST_WATCHED = 200


@click.group()
def runs() -> None:
    """List, follow, end and repeat runs.

    Example: penstock runs list --limit 5
    """


runs.add_command(compare)
runs.add_command(attempts)
runs.add_command(timeline)


@runs.command("list")
@click.option("--experiment", default="", help="Only runs of this experiment, by name.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Newest so many.")
@click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only with this label; repeatable.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="'NAME>=VALUE'",
    help="Only given this: with =, !=, <, <=, > or >=; repeatable.",
)
@click.option("--user", default="", help="Only runs that this user created.")
@click.option("--watch", is_flag=True, help="Go on showing them as they come and change, until Ctrl-C; 200 at most.")
@namespace_option
@server_options
def list_runs(
    experiment: str,
    limit: int,
    labels: tuple[str, ...],
    parameters: tuple[str, ...],
    user: str,
    watch: bool,
    namespace: str,
    client: Client,
    as_json: bool,
) -> None:
    """List runs, newest first.

    Example: penstock runs list --experiment nightly --label team=vision --parameter 'rate>=0.1' --watch
    """
    from itertools import islice

    if watch and (as_json or limit > _MOST_WATCHED):
        raise click.UsageError(f"--watch shows a table of at most {_MOST_WATCHED} runs: without --json")
    place = {"namespace": namespace}
    if experiment:
        found = find_experiment(client, experiment, namespace)
        if not found:
            raise click.ClickException(f"there is no experiment {experiment!r}")
        place = {"experiment_id": found}
    wanted = [equal(f"labels.{key}", value) for key, value in label_pairs(labels).items()]
    wanted += [of_parameter(comparison) for comparison in parameters]
    if user:
        wanted.append(equal("created_by", user))
    if wanted:
        place["filter"] = filter_text(wanted)
    if watch:
        show_runs(client, page_size=limit, sort_by=_NEWEST, **place)
        return
    listed_runs = list(islice(client.list_runs(sort_by=_NEWEST, **place), limit))
    if as_json:
        print_messages(listed_runs)
        return
    print_table(run_table(listed_runs))


@runs.command("get")
@click.argument("run_id")
@server_options
def get(run_id: str, client: Client, as_json: bool) -> None:
    """Show a run and its tasks.

    Example: penstock runs get 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001
    """
    from penstock import render

    run = client.call(client.runs.GetRun, run_pb2.GetRunRequest(run_id=run_id))
    if as_json:
        print_message(run)
        return
    tasks = client.call(client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run_id)).tasks
    state = run_pb2.RuntimeState.Name(run.state)
    say(f"{run.display_name}  {state}  created {render.moment(run.created_at)}  took {run_duration(run)}")
    if run.labels:
        say("labels: " + ", ".join(f"{key}={value}" for key, value in sorted(run.labels.items())))
    if run.error.message:
        say(f"error: {run.error.message}")
    print_table(render.task_table(tasks, int(time.time() * 1000)))


@runs.command("tasks")
@click.argument("run_id")
@click.option("--parent", default=None, metavar="PATH", help="Only direct children of this task; '' for the root's.")
@click.option("--state", "states", multiple=True, help="Only in this state, such as FAILED; repeatable.")
@click.option("--search", default="", metavar="TEXT", help="Only with this in a name or the path.")
@click.option("--sort", default="", help="created_at, started_at, duration, state or name; 'duration desc'.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="So many.")
@server_options
def tasks(
    run_id: str,
    parent: str | None,
    states: tuple[str, ...],
    search: str,
    sort: str,
    limit: int,
    client: Client,
    as_json: bool,
) -> None:
    """List tasks of a run, also of one with very many.

    Example: penstock runs tasks 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 --state FAILED --sort 'duration desc'
    """
    from itertools import islice

    from penstock import render

    # A parent that is empty is another than none.
    place = {} if parent is None else {"parent_path": parent}
    found = client.list_tasks(run_id, states=[one.upper() for one in states], text=search, sort_by=sort, **place)
    listed = list(islice(found, limit))
    if as_json:
        print_messages(listed)
        return
    print_table(render.task_list(listed, int(time.time() * 1000)))


@runs.command("wait")
@click.argument("run_id")
@click.option("--timeout", type=click.FloatRange(min=0), default=0.0, help="Seconds; 0 waits for ever.")
@click.option("--watch", is_flag=True, help="Show the tasks meanwhile.")
@server_options
def wait(run_id: str, timeout: float, watch: bool, client: Client, as_json: bool) -> None:
    """Wait until a run has ended; exit code 0 when it succeeded, 1 when not.

    Example: penstock runs wait 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 --timeout 600
    """
    finished = follow(client, run_id, quiet=as_json or not watch, timeout=timeout)
    if as_json:
        print_message(finished)
    elif not watch:
        say(run_pb2.RuntimeState.Name(finished.state))
    raise SystemExit(0 if finished.state == run_pb2.SUCCEEDED else 1)


@runs.command("logs")
@click.argument("run_id")
@click.argument("task", default="")
@click.option("--follow", "keep", is_flag=True, help="Go on until the task has ended.")
@server_options
def logs(run_id: str, task: str, keep: bool, client: Client, as_json: bool) -> None:
    """Print the log of a task, or of all tasks of a run.

    Example: penstock runs logs 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 for-loop-1[0]/train --follow
    """
    if task:
        names = [task]
    else:
        tasks = client.call(client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run_id)).tasks
        names = [task_row.path for task_row in tasks if task_row.log_uri]
    for name in names:
        if len(names) > 1:
            say(f"==> {name} <==", err=True)
        request = insight_pb2.ReadLogRequest(run_id=run_id, node_id=name, follow=keep)
        print_chunks(chunk.data for chunk in client.stream(client.insight.ReadLog, request))


@runs.command("why")
@click.argument("run_id")
@click.argument("task", default="")
@server_options
def why(run_id: str, task: str, client: Client, as_json: bool) -> None:
    """Say why a task waits, was skipped or failed; of the whole run when no task is given.

    Example: penstock runs why 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 for-loop-1[0]/train
    """
    explanation = client.call(client.insight.ExplainTask, insight_pb2.ExplainTaskRequest(run_id=run_id, task=task))
    if as_json:
        print_message(explanation)
        return
    say(f"{explanation.task or 'the run'} ({explanation.state.lower() or 'not reached'}): {explanation.summary}")
    for reason in explanation.reasons:
        say(f"  {reason.task}: {reason.text}" if reason.task else f"  {reason.text}")


@runs.command("events")
@click.argument("run_id")
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), default="-", help="File to write.")
@server_options
def events(run_id: str, output: str, client: Client, as_json: bool) -> None:
    """Write everything a run decided as JSON lines, for `penstock-executor replay`.

    Example: penstock runs events 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 -o run.log
    """
    chunks = client.stream(client.insight.ReadEventLog, insight_pb2.ReadEventLogRequest(run_id=run_id))
    if output == "-":
        print_chunks(chunk.data for chunk in chunks)
        return
    first = next(chunks, None)
    with click.open_file(output, "wb") as target:
        if first is not None:
            target.write(first.data)
        for chunk in chunks:
            target.write(chunk.data)


def _action(name: str, text: str, method: str, request: Any, done: str) -> None:
    @runs.command(name, help=f"{text}\n\nExample: penstock runs {name} 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001")
    @click.argument("run_ids", nargs=-1, required=True)
    @server_options
    def command(run_ids: tuple[str, ...], client: Client, as_json: bool) -> None:
        for run_id in run_ids:
            client.call(getattr(client.runs, method), request(run_id=run_id))
            if not as_json:
                say(f"{run_id} {done}", err=True)
        if as_json:
            say("{}")


_action("terminate", "End runs; exit tasks still run.", "TerminateRun", run_pb2.TerminateRunRequest, "is being ended")
_action("retry", "Run again what failed.", "RetryRun", run_pb2.RetryRunRequest, "runs again")
_action("archive", "Archive runs.", "ArchiveRun", run_pb2.ArchiveRunRequest, "is archived")
_action("unarchive", "Bring archived runs back.", "UnarchiveRun", run_pb2.UnarchiveRunRequest, "is available")
_action("delete", "Delete runs.", "DeleteRun", run_pb2.DeleteRunRequest, "is deleted")
