"""Fuzzes documents, packages, expressions, arguments and the wrapper of Pods for as long as asked, always anew.

What it finds is printed shrunk, and kept in .hypothesis/ so that the next run tries it first.

Example: python -m tools.fuzz --minutes 30
"""

from __future__ import annotations

import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import click
from hypothesis import HealthCheck, settings

from tools.fuzz.properties import PROPERTIES

_BATCH = 500


def _fuzz(index: int, until: float) -> tuple[int, str]:
    """Examples tried, and the first finding."""
    check: Any = PROPERTIES[index]
    bounded = settings(max_examples=_BATCH, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    run = bounded(check)
    tried = 0
    while time.time() < until:
        try:
            run()
        except BaseException:  # noqa: BLE001 - any exception is a finding
            return tried, traceback.format_exc()
        tried += _BATCH
    return tried, ""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", type=click.FloatRange(min=0.01), default=1.0, show_default=True)
@click.option("--processes", type=click.IntRange(min=1), default=len(PROPERTIES), show_default=True)
def main(minutes: float, processes: int) -> None:
    until = time.time() + minutes * 60
    findings = 0
    with ProcessPoolExecutor(processes) as pool:
        for check, (tried, finding) in zip(
            PROPERTIES, pool.map(_fuzz, range(len(PROPERTIES)), [until] * len(PROPERTIES)), strict=True
        ):
            click.echo(f"{check.__name__}: about {tried} examples, {'a finding' if finding else 'no finding'}")
            if finding:
                findings += 1
                click.echo(finding)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
