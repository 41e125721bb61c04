"""`penstock up`: a server and an executor on this machine, supervised, with everything in one directory."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path
from typing import IO

import click

from penstock.supervisor import Child, ChildFailedError, Supervisor


class _Separated(click.types.StringParamType):
    """Several in an environment variable stand with commas, as the server reads them."""

    envvar_list_splitter = ","


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.penstock"),
    show_default=True,
    envvar="PENSTOCK_DATA_DIR",
    help="Database, artifacts, environments and logs.",
)
@click.option(
    "--http",
    "http_address",
    default="127.0.0.1:8888",
    show_default=True,
    envvar="PENSTOCK_HTTP",
    help="Where REST is served.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    type=_Separated(),
    multiple=True,
    metavar="NAME",
    envvar="PENSTOCK_ALLOWED_HOSTS",
    help="A name besides this machine's own that REST and the web UI may be reached by; may be repeated.",
)
@click.option(
    "--allowed-origin",
    "allowed_origins",
    type=_Separated(),
    multiple=True,
    metavar="ORIGIN",
    envvar="PENSTOCK_ALLOWED_ORIGINS",
    help="Where pages come from that may call besides the server's own, such as https://pipelines.example.com; "
    "may be repeated.",
)
@click.option(
    "--grpc",
    "grpc_address",
    default="127.0.0.1:8887",
    show_default=True,
    envvar="PENSTOCK_GRPC",
    help="Where gRPC is served.",
)
@click.option(
    "--database",
    default="",
    envvar="PENSTOCK_DATABASE",
    help="SQLAlchemy URL; SQLite in the data directory unless given.",
)
@click.option(
    "--artifacts", default="", envvar="PENSTOCK_ARTIFACTS", help="Artifact root; DATA_DIR/artifacts unless given."
)
@click.option(
    "--backend",
    type=click.Choice(["local", "container", "kubernetes"]),
    default="local",
    show_default=True,
    envvar="PENSTOCK_BACKEND",
    help="Where tasks run; for kubernetes, what penstock-executor --help lists is set by its PENSTOCK_ variables.",
)
@click.option(
    "--parallelism",
    type=click.IntRange(min=1, max=100_000),
    default=None,
    envvar="PENSTOCK_PARALLELISM",
    help="Tasks at the same time; unless given the number of cores, on Kubernetes 1000 Pods.",
)
@click.option(
    "--container-runtime",
    default="",
    envvar="PENSTOCK_CONTAINER_RUNTIME",
    help="For --backend container: podman or docker; the one that is found unless given.",
)
@click.option(
    "--container-option",
    multiple=True,
    envvar="PENSTOCK_CONTAINER_OPTION",
    help="For --backend container: an option of the runtime's `run`; may be repeated.",
)
@click.option(
    "--pass-env",
    type=_Separated(),
    multiple=True,
    envvar="PENSTOCK_PASS_ENV",
    metavar="NAME",
    help="A variable of this environment that tasks on this machine get too; may be given several times.",
)
@click.option(
    "--caching/--no-caching",
    default=True,
    show_default=True,
    envvar="PENSTOCK_CACHING",
    help="Answer tasks from the cache where their pipeline allows it.",
)
@click.option(
    "--max-cache-age",
    type=click.IntRange(min=0),
    default=0,
    show_default="no limit",
    envvar="PENSTOCK_MAX_CACHE_AGE",
    help="Seconds after which a cached result does not count any more.",
)
@click.option(
    "--ui",
    "ui_directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    envvar="PENSTOCK_UI",
    help="Directory of a built web UI, served under / and /pipeline.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    envvar="PENSTOCK_LOG_LEVEL",
    help="What server and executor log.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="PENSTOCK_LOG_FORMAT",
    help="Lines for people, or a JSON object a line.",
)
def up(  # noqa: C901 - the commands of two programs are made of its options, which are its arguments
    data_dir: Path,
    http_address: str,
    allowed_hosts: tuple[str, ...],
    allowed_origins: tuple[str, ...],
    grpc_address: str,
    database: str,
    artifacts: str,
    backend: str,
    parallelism: int | None,
    container_runtime: str,
    container_option: tuple[str, ...],
    pass_env: tuple[str, ...],
    caching: bool,
    max_cache_age: int,
    ui_directory: Path | None,
    log_level: str,
    log_format: str,
) -> None:
    """Start a server and an executor on this machine.

    Prints `ready http=… grpc=…` when pipelines can be submitted; Ctrl-C ends both.

    Example: penstock up --data-dir ./data --http 127.0.0.1:8888 --parallelism 8
    """
    for module in ("penstock_server", "penstock_executor"):
        if importlib.util.find_spec(module) is None:
            raise click.ClickException(
                f"{module} is not installed here: this is the client only; install the package `penstock` for `up`"
            )
    directory = data_dir.expanduser().absolute()
    lock = _locked(directory)
    _check_port("--http", http_address)
    _check_port("--grpc", grpc_address)
    common = ["--data-dir", str(directory), "--log-level", log_level, "--log-format", log_format]
    if artifacts:
        common += ["--artifacts", artifacts]

    def server_command() -> list[str]:
        command = ["penstock_server.main", "--http", http_address, "--grpc", grpc_address, *common]
        command += ["--caching" if caching else "--no-caching", "--max-cache-age", str(max_cache_age)]
        # With a name given, names are checked whatever address REST is bound to: this is somebody's own machine.
        for host in (socket.gethostname(), *allowed_hosts):
            command += ["--allowed-host", host]
        for origin in allowed_origins:
            command += ["--allowed-origin", origin]
        if ui_directory:
            command += ["--ui", str(ui_directory)]
        return [*command, "--database", database] if database else command

    def executor_command() -> list[str]:
        address = server.ready_line.rsplit("grpc=", 1)[-1]
        # The lock on the data directory makes the name safe: there is one executor of this name at a time, also where
        # several directories share a database.
        place = hashlib.sha256(f"{socket.gethostname()}:{directory}".encode()).hexdigest()[:12]
        name = f"up-{place}"
        command = ["penstock_executor.main", "--server", address, "--backend", backend, "--name", name, *common]
        if container_runtime:
            command += ["--container-runtime", container_runtime]
        command += [f"--container-option={option}" for option in container_option]
        for variable in pass_env:
            command += ["--pass-env", variable]
        return [*command, "--parallelism", str(parallelism)] if parallelism else command

    server, executor = Child("server", server_command), Child("executor", executor_command)
    supervisor = Supervisor([server, executor], directory / "logs", _echo_line if log_format == "json" else _echo)
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
            http_address, grpc_address = found["http"].removeprefix("http://"), found["grpc"]
            click.echo(server.ready_line)
            sys.stdout.flush()
            _welcome(found["http"], grpc_address, directory)
            supervisor.run()
    except ChildFailedError as error:
        raise click.ClickException(str(error)) from error
    finally:
        supervisor.stop()
        lock.close()


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


def _check_port(option: str, address: str) -> None:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise click.UsageError(f"{option}: {address!r} is not HOST:PORT")
    if port == "0":
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
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
