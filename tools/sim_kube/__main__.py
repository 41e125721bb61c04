"""`python -m tools.sim_kube --port 0 --latency 0.1`: the simulated API server as a process of its own.

Invariant: one line `ready URL` goes to stdout when it listens; it ends with SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from tools.sim_kube.kubeconfig import write_kubeconfig
from tools.sim_kube.node import Latency
from tools.sim_kube.outcome import Outcome
from tools.sim_kube.server import SimKube


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools.sim_kube", description="A simulated Kubernetes API server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds from a Pod's creation to its end")
    parser.add_argument("--spread", type=float, default=0.25, help="how much they differ (sigma of a lognormal factor)")
    parser.add_argument("--message", default="", help="termination message of every container `main`")
    parser.add_argument("--history", type=int, default=10_000, help="changes that a watch may be behind")
    parser.add_argument("--bookmark-seconds", type=float, default=60.0)
    parser.add_argument("--namespace", action="append", default=[], help="namespaces that are there from the start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kubeconfig", type=Path, help="written before the server says that it is ready")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    always = Outcome(messages={"main": arguments.message} if arguments.message else {})
    server = SimKube(
        latency=Latency(arguments.latency, arguments.spread),
        decide=lambda _: always,
        history=arguments.history,
        bookmark_seconds=arguments.bookmark_seconds,
        seed=arguments.seed,
        namespaces=("default", *arguments.namespace),
    )
    await server.start(arguments.port)
    if arguments.kubeconfig:
        write_kubeconfig(arguments.kubeconfig, server.url)
    print(f"ready {server.url}", flush=True)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await server.close()


if __name__ == "__main__":
    main()
