"""A page of the list of runs as it is now, over WatchRuns.

Invariants: a stream begins with the whole page, so that nothing is missing after one that broke; what is known stays
meanwhile, and it is said that it may be out of date; pauses between tries grow, up to a bound, and differ between those
who lost a server together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import grpc
from penstock_api.v1 import watch_pb2
from penstock_api.v2beta1 import run_pb2

from penstock.client import Client, ClientError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
_Open = Callable[[], Iterable[watch_pb2.RunsChange]]


@dataclass(frozen=True, slots=True)
class LiveRuns:
    """`lost` says why the page may be out of date; it is empty while it is not."""

    runs: Sequence[run_pb2.Run] = ()
    total_size: int = 0
    lost: str = ""


def watch(client: Client, request: watch_pb2.WatchRunsRequest) -> Iterator[LiveRuns]:
    """The page now, and each time that it has changed; for ever. Raises ClientError for what will not pass."""
    return followed(lambda: client.stream(client.watches.WatchRuns, request))


def followed(open_stream: _Open, sleep: Callable[[float], None] = time.sleep) -> Iterator[LiveRuns]:
    """As `watch`; `open_stream` may be called again and again."""
    shown, failures = LiveRuns(), 0
    while True:
        try:
            for change in open_stream():
                failures = 0
                known = {run.run_id: run for run in (*shown.runs, *change.runs)}
                page = [known[run_id] for run_id in change.run_ids if run_id in known]
                shown = LiveRuns(page, change.total_size)
                yield shown
        except ClientError as error:
            if error.code not in _PASSING:
                raise
            shown = replace(shown, lost=str(error))
            yield shown
        sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**failures) * random.uniform(0.5, 1))  # noqa: S311 - a delay
        failures = min(failures + 1, 10)
