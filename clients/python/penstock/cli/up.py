"""`penstock up`: a server and an executor on this machine, supervised, with everything in one directory.

Its options are rows of the two programs' own tables (`up=` in penstock_server/settings.py and
penstock_executor/settings.py), and what was given goes on to the program whose row it is. Invariant: the client imports
neither program. An installed program names its table in an entry point (`penstock.settings`); where only the client is
installed there is none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

import click

from penstock.option_types import Address
from penstock.settings import Setting, arguments, options, rows, up_rows
from penstock.supervisor import Child, ChildFailedError, Supervisor


def _table(program: str) -> dict[str, Setting]:
    """Empty when the program is not installed here."""
    found = entry_points(group="penstock.settings", name=program)
    return rows(next(iter(found)).load()) if found else {}


_SERVER, _EXECUTOR = _table("penstock_server"), _table("penstock_executor")
_INSTALLED = bool(_SERVER and _EXECUTOR)


@click.command(
    params=options(up_rows([_SERVER, _EXECUTOR])),
    # Without the programs no option is known; whatever is given, the answer is that they are missing.
    context_settings={"ignore_unknown_options": not _INSTALLED, "allow_extra_args": not _INSTALLED},
)
def up(**values: Any) -> None:
    """Start a server and an executor on this machine.

    Prints `ready http=… grpc=…` when pipelines can be submitted; Ctrl-C ends both.

    Example: penstock up --data-dir ./data --http 127.0.0.1:8888 --parallelism 8
    """
    if not _INSTALLED:
        raise click.ClickException(
            "penstock_server is not installed here: this is the client only; install the package `penstock` for `up`"
        )
    directory = values["data_dir"] = values["data_dir"].expanduser().absolute()
    lock = _locked(directory)
    _check_port("--http", values["http"])
    _check_port("--grpc", values["grpc"])
    server = Child("server", lambda: server_command(values))
    executor = Child("executor", lambda: executor_command(values, server.ready_line))
    echo = _echo_line if values["log_format"] == "json" else _echo
    supervisor = Supervisor([server, executor], directory / "logs", echo)
    interrupts = 0

    def interrupted(_number: int, _frame: object) -> None:
        nonlocal interrupts
        interrupts += 1
        supervisor.request_stop()
        if interrupts > 1:
            supervisor.kill()

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        supervisor.start()
        if not interrupts:
            # Restarts keep the ports they got, so that clients and the executor find the server again.
            found = dict(part.split("=", 1) for part in server.ready_line.split()[1:])
            values |= {"http": found["http"].removeprefix("http://"), "grpc": found["grpc"]}
            click.echo(server.ready_line)
            sys.stdout.flush()
            _welcome(found["http"], found["grpc"], directory)
            supervisor.run()
    except ChildFailedError as error:
        raise click.ClickException(str(error)) from error
    finally:
        supervisor.stop()
        lock.close()


def server_command(values: Mapping[str, Any]) -> list[str]:
    """Module and arguments of the server, by the values of this command's options."""
    # With a name given, names are checked whatever address REST is bound to: this is somebody's own machine.
    hosts = (socket.gethostname(), *values["allowed_hosts"])
    return ["penstock_server.main", *arguments(_SERVER, {**_handed_on(_SERVER, values), "allowed_hosts": hosts})]


def executor_command(values: Mapping[str, Any], server_ready_line: str) -> list[str]:
    """Module and arguments of the executor, by the same values and the line in which the server said its addresses."""
    address = server_ready_line.rsplit("grpc=", 1)[-1]
    # The lock on the data directory makes the name safe: there is one executor of this name at a time, also where
    # several directories share a database.
    place = hashlib.sha256(f"{socket.gethostname()}:{values['data_dir']}".encode()).hexdigest()[:12]
    own = {"server": address, "name": f"up-{place}"}
    return ["penstock_executor.main", *arguments(_EXECUTOR, {**_handed_on(_EXECUTOR, values), **own})]


def _handed_on(table: Mapping[str, Setting], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values those that are for the program with this table."""
    return {name: values[name] for name, row in table.items() if row.up is not None}


def _locked(directory: Path) -> IO[str]:
    try:
        # Arguments and results of everybody's pipelines: nobody else's business on a machine that is shared.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / "lock").open("a+")
    except OSError as error:
        raise click.ClickException(f"--data-dir: {directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise click.UsageError(
            f"--data-dir: {directory} is in use by another `penstock up` (process {holder}); "
            "end that one or choose another directory"
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _check_port(option: str, address: Address) -> None:
    if address.port == 0:
        return
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise click.UsageError(
                f"{option}: {address} cannot be used ({error.strerror}); choose another with {option} HOST:PORT"
            ) from error


def _echo(name: str, line: str) -> None:
    click.echo(f"{name}: {line}", err=True)


def _echo_line(_name: str, line: str) -> None:
    click.echo(line, err=True)


def _welcome(http: str, grpc: str, directory: Path) -> None:
    click.echo(
        f"\n  Penstock is up.  REST {http}   gRPC {grpc}   data {directory}\n"
        f"  Submit with the kfp SDK:  kfp.Client(host='{http}')\n"
        f"  or from here:             penstock run FILE --server {grpc} --watch\n",
        err=True,
    )
