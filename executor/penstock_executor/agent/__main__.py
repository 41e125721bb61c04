"""The agent in a task's Pod: `python -m penstock_executor.agent [run|fetch|attend|work|relay]` (docs/pods.md,
docs/workers.md).

Its instructions are in `PENSTOCK_TASK_0`, …, those of a warm worker's attempts come over its socket; credentials of the
store are in its environment. Invariant: it exits without waiting for threads of the store that may hang, once the
result is left.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from penstock_executor.agent.attempt import Attempt
from penstock_executor.agent.outputs import PodFiles
from penstock_executor.agent.protocol import SHARE, WORKER_SOCKET, AgentTask
from penstock_executor.agent.share import Share
from penstock_executor.agent.stores import open_store

WAITS = (
    ("unattended", 60.0, "when nobody is connected"),
    ("kept", 3600.0, "for somebody to take its results"),
    ("linger", 10.0, "for that when the Pod ends"),
)


def main() -> int:
    """1 when inputs could not be fetched, else 0: what else went wrong is in the result."""
    parser = argparse.ArgumentParser(description="Moves a task's files and tells what the task left.")
    parser.add_argument("command", nargs="?", choices=("run", "fetch", "attend", "work", "relay"), default="run")
    parser.add_argument("--message", type=Path, default=Path("/dev/termination-log"), help="file of the result")
    parser.add_argument("--share", type=Path, default=Path(SHARE), help="directory shared with the wrapper")
    parser.add_argument("--root", type=Path, default=Path("/"), help="under which the Pod's places lie")
    parser.add_argument("--socket", type=Path, default=Path(WORKER_SOCKET), help="of a warm worker's agent")
    for name, seconds, text in WAITS:
        parser.add_argument(f"--{name}", type=float, default=seconds, help=f"seconds that a warm worker waits {text}")
    arguments = parser.parse_args()
    if arguments.command == "relay":
        from penstock_executor.agent.relay import relay

        return relay(arguments.socket)
    if arguments.command == "work":
        from penstock_executor.agent.patience import Patience
        from penstock_executor.agent.worker import work

        patience = Patience(arguments.unattended, arguments.kept, arguments.linger)
        return work(arguments.socket, arguments.share, arguments.root, arguments.message, os.environ, patience)
    # The task's container may run as any user, who has to read and write these files.
    os.umask(0)
    task = AgentTask.from_json(instructions(os.environ))
    attempt = Attempt(
        task,
        Share(arguments.share),
        PodFiles(arguments.root, arguments.share),
        lambda: open_store(task, os.environ),
    )
    if arguments.command == "fetch":
        result = attempt.fetch()
    else:
        result = attempt.run() if arguments.command == "run" else attempt.attend()
    if result is not None:
        from penstock_executor.agent.delivery import deliver_result

        deliver_result(result, arguments.message, attempt)
    # An init container that fails keeps the program from starting.
    return int(arguments.command == "fetch" and result is not None)


def instructions(environ: Mapping[str, str]) -> str:
    """The JSON text of the task, put together again from the variables `PENSTOCK_TASK_0`, `PENSTOCK_TASK_1`, …"""
    pieces: list[str] = []
    while (piece := environ.get(f"PENSTOCK_TASK_{len(pieces)}")) is not None:
        pieces.append(piece)
    return "".join(pieces)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
