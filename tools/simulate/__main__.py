"""Simulates runs of random pipelines under crashes, stolen leases and late, lost, repeated and reordered messages.

A seed that fails prints the command that replays it.

Example: python -m tools.simulate --seeds 10000
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import penstock_executor
from rich.progress import track

from tools.simulate.runner import check

_BLOCK = 25


def _block(first: int, count: int) -> tuple[int, str] | None:
    for seed in range(first, first + count):
        try:
            check(seed)
        except Exception:  # noqa: BLE001 - whatever it is, it belongs to the seed
            return seed, traceback.format_exc()
    return None


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seeds", type=click.IntRange(min=1), default=300, show_default=True, help="How many.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first one.")
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default="number of cores")
@click.option("--until-failure", is_flag=True, help="Stop at the first violation.")
def main(seeds: int, first: int, processes: int, until_failure: bool) -> None:
    started = time.monotonic()
    starts = range(first, first + seeds, _BLOCK)
    counts = [min(_BLOCK, first + seeds - one) for one in starts]
    failures = []
    click.echo(f"engine of {Path(penstock_executor.__file__).parents[2]}")
    with ProcessPoolExecutor(processes) as pool:
        blocks = pool.map(_block, starts, counts)
        for failure in track(blocks, "simulating", total=len(counts), disable=not sys.stdout.isatty()):
            if failure is None:
                continue
            failures.append(failure)
            click.echo(f"seed {failure[0]} failed:\n{failure[1]}replay: make simulate FIRST={failure[0]} SEEDS=1")
            if until_failure:
                pool.shutdown(cancel_futures=True)
                sys.exit(1)
    rate = seeds / (time.monotonic() - started) * 60
    click.echo(f"{seeds} seeds, {rate:,.0f} a minute, {len(failures)} blocks with a violation")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
