"""Many watches of lists of runs, in a process beside those that are measured; the benchmark of watches starts it.

Watch by watch in turn they are of so many distinct lists. Prints `open` when each watch has had its first message, and,
when standard input ends, a JSON object: how many messages came, and how many watches were still open.

Example: python -m tools.bench.list_watchers 127.0.0.1:8890 1000 20
"""

from __future__ import annotations

import asyncio
import json
import sys

import click
import grpc.aio
from penstock_api.v1 import watch_pb2, watch_pb2_grpc

# A server takes no more streams over one connection, and refuses calls when a thousand wait for a thread.
_OF_A_CONNECTION = 100
_OPENED_AT_ONCE = 200


class _Heard:
    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._begun = 0
        self.all_open = asyncio.Event()
        if not wanted:
            self.all_open.set()
        self.opening = asyncio.Semaphore(_OPENED_AT_ONCE)
        self.messages = 0

    def begun(self) -> None:
        self.opening.release()
        self._begun += 1
        if self._begun == self._wanted:
            self.all_open.set()


def requests(number: int, lists: int) -> list[watch_pb2.WatchRunsRequest]:
    """Newest first; the lists differ by their sizes alone, so that each has the runs that go by."""
    return [
        watch_pb2.WatchRunsRequest(sort_by="created_at desc", page_size=20 + place % lists) for place in range(number)
    ]


async def _watch(target: grpc.aio.Channel, request: watch_pb2.WatchRunsRequest, heard: _Heard) -> None:
    await heard.opening.acquire()
    first = True
    async for _ in watch_pb2_grpc.WatchServiceStub(target).WatchRuns(request):
        heard.messages += 1
        if first:
            heard.begun()
        first = False


async def _all(server: str, number: int, lists: int) -> dict[str, int]:
    heard = _Heard(number)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(server, options=options) for _ in range(-(-number // _OF_A_CONNECTION))]
    watches = [
        asyncio.ensure_future(_watch(channels[place // _OF_A_CONNECTION], request, heard))
        for place, request in enumerate(requests(number, lists))
    ]
    await heard.all_open.wait()
    click.echo("open")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    found = {"messages": heard.messages, "open": sum(not watch.done() for watch in watches)}
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
    for channel in channels:
        await channel.close(None)
    return found


@click.command(help=__doc__)
@click.argument("server")
@click.argument("number", type=int)
@click.argument("lists", type=int)
def main(server: str, number: int, lists: int) -> None:
    click.echo(json.dumps(asyncio.run(_all(server, number, lists))))


if __name__ == "__main__":
    main()
