"""`penstock-executor`: its command line, and the only reader of flags and environment in this program.

Invariant: every option is a row of `settings`, which are read here and passed down.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click
from penstock.closed_memory import close_memory
from penstock.settings import options, rows
from penstock_ir.errors import InvalidSpecError

from penstock_executor import logs
from penstock_executor.dispatch.convert import pipeline_root
from penstock_executor.replay import ReplayError, replay
from penstock_executor.serving import serve
from penstock_executor.settings import Settings


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=options(rows(Settings)),
)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Executes the runs of a Penstock server.

    Example: penstock-executor --server 127.0.0.1:8886 --parallelism 8
    """
    if context.invoked_subcommand is not None:
        return
    close_memory()
    settings = Settings(**values)
    logs.configure(settings.log_level, settings.log_format)
    serve(settings, dict(os.environ))


@main.command("replay")
@click.argument("log_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--artifacts", default="~/.penstock/artifacts", show_default=True, help="Artifact root of the run.")
@click.option("--work-dir", default="~/.penstock/work", show_default=True, help="Where the run had its workspace.")
def replay_command(log_file: Path, artifacts: str, work_dir: str) -> None:
    """Decide a run again from its event log; exit code 1 when that comes to something else.

    Example: penstock runs events RUN -o run.log && penstock-executor replay run.log
    """
    with log_file.open("rb") as lines:
        started = time.perf_counter()
        try:
            result = replay(
                lines, default_root=pipeline_root(artifacts), workspace_path=str(Path(work_dir).expanduser())
            )
        except (ReplayError, InvalidSpecError, ValueError) as error:
            raise click.ClickException(f"{log_file}: {error}") from error
    seconds = time.perf_counter() - started
    click.echo(f"run {result.run_id}: {result.events} events, {result.tasks} tasks, {seconds:.2f} s")
    for line in result.differences:
        click.echo(line)
    if result.differences:
        raise SystemExit(1)
    click.echo("decided the same")


if __name__ == "__main__":
    main()
