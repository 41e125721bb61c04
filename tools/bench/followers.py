"""Many followers of logs of one run, in a process beside those that are measured; the benchmark of logs starts it.

Prints `open` when each has had the first bytes, and at the end a JSON object: how many got what the whole log is, and
how many milliseconds after a line was written a follower had it (of each message the first line).

Example: python -m tools.bench.followers 127.0.0.1:8890 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 500 train evaluate
"""

from __future__ import annotations

import asyncio
import json
import time

import click
import grpc.aio
from penstock_api.v1 import insight_pb2, insight_pb2_grpc

# A server takes no more streams over one connection.
_OF_A_CONNECTION = 100
_OPENED_AT_ONCE = 50


class _Followers:
    def __init__(self, run_id: str, wanted: int) -> None:
        self._run_id = run_id
        self._wanted = wanted
        self._opening = asyncio.Semaphore(_OPENED_AT_ONCE)
        self._open = 0
        self.all_open = asyncio.Event()
        self.delays: list[int] = []

    async def follow(self, channel: grpc.aio.Channel, task: str) -> bytes:
        """The log."""
        request = insight_pb2.ReadLogRequest(run_id=self._run_id, node_id=task, follow=True)
        got = b""
        await self._opening.acquire()
        async for chunk in insight_pb2_grpc.InsightServiceStub(channel).ReadLog(request):
            if not got:
                self._opening.release()
                self._open += 1
                if self._open == self._wanted:
                    self.all_open.set()
            first = chunk.data.partition(b" ")[0]
            if got.endswith(b"\n") and first.isdigit():
                self.delays.append(time.time_ns() // 1_000_000 - int(first))
            got += chunk.data
        return got


async def _all(server: str, run_id: str, number: int, tasks: tuple[str, ...]) -> tuple[int, list[int]]:
    """How many have the whole log, and the delays."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(server, options=options) for _ in range(-(-number // _OF_A_CONNECTION))]
    followers = _Followers(run_id, number)
    streams = [
        asyncio.ensure_future(followers.follow(channels[place // _OF_A_CONNECTION], tasks[place % len(tasks)]))
        for place in range(number)
    ]
    await followers.all_open.wait()
    click.echo("open")
    got = await asyncio.gather(*streams)
    stub = insight_pb2_grpc.InsightServiceStub(channels[0])
    whole = {}
    for task in tasks:
        request = insight_pb2.ReadLogRequest(run_id=run_id, node_id=task)
        whole[task] = b"".join([chunk.data async for chunk in stub.ReadLog(request)])
    for channel in channels:
        await channel.close(None)
    return sum(log == whole[tasks[place % len(tasks)]] for place, log in enumerate(got)), sorted(followers.delays)


@click.command(help=__doc__)
@click.argument("server")
@click.argument("run_id")
@click.argument("number", type=int)
@click.argument("tasks", nargs=-1, required=True)
def main(server: str, run_id: str, number: int, tasks: tuple[str, ...]) -> None:
    whole, delays = asyncio.run(_all(server, run_id, number, tasks))
    click.echo(json.dumps({"whole": whole, "delays": delays}))


if __name__ == "__main__":
    main()
