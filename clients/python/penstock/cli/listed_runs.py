"""The table of `penstock runs list`, once or as it is now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from penstock_api.v1 import watch_pb2
from penstock_api.v2beta1 import run_pb2

from penstock.cli.common import print_table
from penstock.cli.run import ended
from penstock.client import Client


def run_table(runs: Sequence[run_pb2.Run], now: float = 0.0) -> Any:
    """`now`, in seconds since the epoch, is for runs that have not ended; without it nothing is said of how long."""
    from penstock import render

    rows = [
        (
            run.run_id,
            run.display_name,
            render.state_text(run_pb2.RuntimeState.Name(run.state)),
            render.moment(run.created_at),
            run_duration(run, now),
        )
        for run in runs
    ]
    return render.table(("run", "name", "state", "created", "took"), rows)


def run_duration(run: run_pb2.Run, now: float = 0.0) -> str:
    """Such as 3.2 s; empty for a run that has not ended, unless it is said what time it is."""
    from penstock import render

    end = run.finished_at.seconds if ended(run.state) else int(now)
    return render.duration(max(0, end - run.created_at.seconds) * 1000) if end else ""


def show_runs(client: Client, **fields: Any) -> None:
    """Shows a page of runs until Ctrl-C; `fields` are those of WatchRunsRequest. Where stdout is no terminal, the table
    is printed each time it has changed. Raises ClientError.
    """
    from rich.console import Console, Group
    from rich.live import Live

    from penstock import live_runs, render

    pages = live_runs.watch(client, watch_pb2.WatchRunsRequest(**fields))
    console = Console()
    try:
        if not console.is_terminal:
            for page in pages:
                if not page.lost:
                    print_table(run_table(page.runs))
            return
        shown = live_runs.LiveRuns()

        def current() -> Any:
            note = render.shown(f"{shown.lost}; trying again" if shown.lost else "", style="yellow")
            return Group(run_table(shown.runs, time.time()), note)

        # It asks for what is current twice a second, for runs go on without a change.
        with Live(console=console, refresh_per_second=2, get_renderable=current):
            for shown in pages:  # noqa: B007 - read by `current`
                pass
    except KeyboardInterrupt:
        raise SystemExit(130) from None
