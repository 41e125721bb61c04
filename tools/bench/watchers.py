"""Many watches of one run, in a process beside those that are measured; the benchmark of watches starts it.

Prints `open` when each watch has had its first message, and at the end a JSON object: how many heard the end of the
run, and how many milliseconds after a task had ended by the executor's clock a watch was told of it (a sample).

Example: python -m tools.bench.watchers 127.0.0.1:8890 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 2000
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import click
import grpc.aio
from penstock_api.v1 import watch_pb2, watch_pb2_grpc
from penstock_api.v2beta1 import run_pb2

# A server takes no more streams over one connection, and refuses calls when a thousand wait for a thread.
_OF_A_CONNECTION = 100
_OPENED_AT_ONCE = 200
# Every so many watches one notes delays: noting costs the processor that the server needs.
_NOTES_EVERY = 50


@dataclass(slots=True)
class _Heard:
    wanted: int
    ends: int = 0
    open: int = 0
    all_open: asyncio.Event = field(default_factory=asyncio.Event)
    opening: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_OPENED_AT_ONCE))
    messages: int = 0
    delays: list[int] = field(default_factory=list)


async def _watch(target: grpc.aio.Channel, request: watch_pb2.WatchRunRequest, heard: _Heard, *, notes: bool) -> None:
    stub = watch_pb2_grpc.WatchServiceStub(target)
    first, last = True, None
    told: set[str] = set()
    await heard.opening.acquire()
    async for change in stub.WatchRun(request):
        if first:
            heard.opening.release()
            heard.open += 1
        if heard.open == heard.wanted:
            heard.all_open.set()
        heard.messages += 1
        last = change
        now = time.time_ns() // 1_000_000
        for task in change.tasks if notes else ():
            if task.state == "SUCCEEDED" and task.path not in told:
                told.add(task.path)
                if not first and task.kind == "container":
                    heard.delays.append(now - task.finished_at.ToMilliseconds())
        first = False
    heard.ends += last is not None and last.run.state == run_pb2.SUCCEEDED


async def _all(server: str, run_id: str, number: int) -> _Heard:
    heard = _Heard(number)
    request = watch_pb2.WatchRunRequest(run_id=run_id, until_finished=True)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(server, options=options) for _ in range(-(-number // _OF_A_CONNECTION))]
    watches = [
        asyncio.ensure_future(
            _watch(channels[place // _OF_A_CONNECTION], request, heard, notes=place % _NOTES_EVERY == 0)
        )
        for place in range(number)
    ]
    every = asyncio.gather(*watches)
    opening = asyncio.ensure_future(heard.all_open.wait())
    # An error of one ends the program rather than its wait for all.
    waited: list[asyncio.Future[Any]] = [opening, every]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        await every
    click.echo("open")
    await every
    for channel in channels:
        await channel.close(None)
    return heard


@click.command(help=__doc__)
@click.argument("server")
@click.argument("run_id")
@click.argument("number", type=int)
def main(server: str, run_id: str, number: int) -> None:
    heard = asyncio.run(_all(server, run_id, number))
    click.echo(json.dumps({"ends": heard.ends, "messages": heard.messages, "delays": sorted(heard.delays)}))


if __name__ == "__main__":
    main()
