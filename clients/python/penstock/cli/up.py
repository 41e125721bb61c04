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
from typing import IO, TYPE_CHECKING, Any

import click

from penstock.cli.certs import dev_files
from penstock.closed_memory import close_memory
from penstock.option_types import Address
from penstock.secret_file import make_secret
from penstock.settings import Setting, arguments, options, rows, up_rows, variables
from penstock.supervisor import Child, ChildFailedError, Supervisor
from penstock.terminal_text import printable, printable_json

if TYPE_CHECKING:
    from penstock.dev_certificates import DevFiles


def _table(program: str) -> dict[str, Setting]:
    """Empty when the program is not installed here."""
    found = entry_points(group="penstock.settings", name=program)
    return rows(next(iter(found)).load()) if found else {}


_SERVER, _EXECUTOR = _table("penstock_server"), _table("penstock_executor")
_INSTALLED = bool(_SERVER and _EXECUTOR)
_TLS = click.Option(
    ["--tls"],
    is_flag=True,
    envvar="PENSTOCK_TLS",
    help="Speak TLS on all ports, with certificates that `penstock certs dev` makes in DATA_DIR/certs.",
)


@click.command(
    params=[*options(up_rows([_SERVER, _EXECUTOR])), _TLS],
    # Without the programs no option is known; whatever is given, the answer is that they are missing.
    context_settings={"ignore_unknown_options": not _INSTALLED, "allow_extra_args": not _INSTALLED},
)
def up(tls: bool, **values: Any) -> None:
    """Start a server and an executor on this machine.

    Prints `ready http=… grpc=… dispatch=…` when pipelines can be submitted; Ctrl-C ends both.

    Example: penstock up --data-dir ./data --http 127.0.0.1:8888 --parallelism 8
    """
    if not _INSTALLED:
        raise click.ClickException(
            "penstock_server is not installed here: this is the client only; install the package `penstock` for `up`"
        )
    close_memory()
    directory = values["data_dir"] = values["data_dir"].expanduser().absolute()
    lock = _locked(directory)
    files = dev_files(directory / "certs", values["allowed_hosts"], "--data-dir") if tls else None
    try:
        make_secret(_secret_file(values))
    except OSError as error:
        raise click.ClickException(f"{_secret_file(values)} cannot be made: {error.strerror}") from error
    _check_port("--http", values["http"])
    _check_port("--grpc", values["grpc"])
    _check_port("--dispatch", values["dispatch"])
    secrets = dict.fromkeys(row.variable for row in (*_SERVER.values(), *_EXECUTOR.values()) if row.secret)
    # An executor starts tasks, so it gets none of the server's passwords, whatever our own environment has.
    server = Child("server", lambda: server_command(values, files), variables(_SERVER, values))
    executor = Child(
        "executor",
        lambda: executor_command(values, server.ready_line, files),
        {**secrets, **variables(_EXECUTOR, values)},
    )
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
            values |= {**found, "http": found["http"].partition("://")[2]}
            click.echo(server.ready_line)
            sys.stdout.flush()
            _welcome(found["http"], found["grpc"], directory, files)
            supervisor.run()
    except ChildFailedError as error:
        raise click.ClickException(printable(str(error))) from error
    finally:
        supervisor.stop()
        lock.close()


def server_command(values: Mapping[str, Any], files: DevFiles | None = None) -> list[str]:
    """Module and arguments of the server, by the values of this command's options and the certificates of --tls."""
    # With a name given, names are checked whatever address REST is bound to: this is somebody's own machine.
    hosts = (socket.gethostname(), *values["allowed_hosts"])
    own: dict[str, Any] = {
        "allowed_hosts": hosts,
        "executor_auth": "secret",
        "dispatch_secret_file": _secret_file(values),
    }
    if files is not None:
        own |= {"tls_cert": files.server, "tls_key": files.server_key, "tls_client_ca": files.authority}
        # A browser has no certificate of this authority; an executor has.
        own["tls_client_auth"] = "optional"
    return ["penstock_server.main", *arguments(_SERVER, {**_handed_on(_SERVER, values), **own})]


def executor_command(values: Mapping[str, Any], server_ready_line: str, files: DevFiles | None = None) -> list[str]:
    """Module and arguments of the executor, by the same and the line in which the server said its addresses."""
    address = server_ready_line.rsplit("dispatch=", 1)[-1]
    # The lock on the data directory makes the name safe: there is one executor of this name at a time, also where
    # several directories share a database.
    place = hashlib.sha256(f"{socket.gethostname()}:{values['data_dir']}".encode()).hexdigest()[:12]
    own: dict[str, Any] = {
        "server": address,
        "name": f"up-{place}",
        "dispatch_secret_file": _secret_file(values),
    }
    if files is not None:
        own |= {"tls_ca": files.authority, "tls_cert": files.client, "tls_key": files.client_key}
    return ["penstock_executor.main", *arguments(_EXECUTOR, {**_handed_on(_EXECUTOR, values), **own})]


def _secret_file(values: Mapping[str, Any]) -> Path:
    """What the executor proves itself to the server with: other users of this machine cannot read it."""
    return Path(values["data_dir"]) / "dispatch.key"


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
    click.echo(printable(f"{name}: {line}"), err=True)


def _echo_line(_name: str, line: str) -> None:
    click.echo(printable_json(line), err=True)


def _welcome(http: str, grpc: str, directory: Path, files: DevFiles | None) -> None:
    trusted = f", ssl_ca_cert='{files.authority}'" if files else ""
    option = f"--ca-file {files.authority} " if files else ""
    click.echo(
        f"\n  Penstock is up.  REST {http}   gRPC {grpc}   data {directory}\n"
        f"  Submit with the kfp SDK:  kfp.Client(host='{http}'{trusted})\n"
        f"  or from here:             penstock run FILE --server {grpc} {option}--watch\n",
        err=True,
    )
