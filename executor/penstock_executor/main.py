"""`penstock-executor`: the composition root, the only reader of flags and environment in this program.

Invariants: everything below gets what it needs passed in. One line `ready executor=<id>` goes to stdout when the server
was reached; logs go to stderr. SIGTERM drains: pending transitions are committed, leases handed back, attempts left
running for the next executor.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from penstock_ir.backend_limits import LOCAL
from penstock_ir.errors import InvalidSpecError
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore, path_of
from penstock_store.providers import parse_file
from penstock_store.router import RoutedStore

from penstock_executor import garbage_collection, logs
from penstock_executor.backends.local.backend import LocalBackend, LocalSettings
from penstock_executor.backoff import retried
from penstock_executor.channel import addresses_of
from penstock_executor.container_options import ContainerOptions, container_options, on_containers
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.convert import pipeline_root
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.dispatch.figures import Vitals
from penstock_executor.errors import ExecutorError
from penstock_executor.metadata.base import Recorder
from penstock_executor.metadata.null import NullRecorder
from penstock_executor.options import KubernetesOptions, Names, Placed, kubernetes_options, on_kubernetes
from penstock_executor.replay import ReplayError, replay

if TYPE_CHECKING:
    from penstock_executor.telemetry import Telemetry

log = logging.getLogger(__name__)

_PODS = 1000
"""At a time, unless said otherwise: enough for a cluster that grows by what is pending, and no flood."""


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--server",
    default="127.0.0.1:8887",
    show_default=True,
    envvar="PENSTOCK_SERVER",
    callback=lambda context, parameter, value: _servers(value),
    help="gRPC address of the server; of several, separated by commas, the next one when one is away.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.penstock"),
    show_default=True,
    envvar="PENSTOCK_DATA_DIR",
    help="Where work directories, task environments and artifacts lie.",
)
@click.option(
    "--artifacts",
    default="",
    envvar="PENSTOCK_ARTIFACTS",
    help="Pipeline root of runs that name none: DATA_DIR/artifacts, or a URI such as s3://bucket/prefix.",
)
@click.option(
    "--store-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    envvar="PENSTOCK_STORE_CONFIG",
    help="YAML with `providers` and `defaultPipelineRoot`, as in the ConfigMap kfp-launcher.",
)
@click.option(
    "--backend",
    type=click.Choice(["local", "container", "kubernetes"]),
    default="local",
    show_default=True,
    envvar="PENSTOCK_BACKEND",
    help="Where tasks run.",
)
@click.option(
    "--parallelism",
    type=click.IntRange(min=1, max=100_000),
    default=None,
    show_default="number of cores; with Kubernetes 1000",
    envvar="PENSTOCK_PARALLELISM",
    help="Tasks that run at the same time; with Kubernetes Pods of the installation.",
)
@click.option(
    "--pass-env",
    type=Names(),
    multiple=True,
    envvar="PENSTOCK_PASS_ENV",
    metavar="NAME",
    help="A variable of this program's environment that tasks on this machine get too; may be given several times.",
)
@click.option(
    "--lineage/--no-lineage",
    default=True,
    show_default=True,
    envvar="PENSTOCK_LINEAGE",
    help="Record lineage in ML Metadata.",
)
@click.option(
    "--name",
    default="",
    envvar="PENSTOCK_EXECUTOR_NAME",
    help="A name that outlives this process and that no other living executor has: a restart takes its runs at once.",
)
@click.option(
    "--lease-seconds",
    # What the server would give otherwise, we would not know.
    type=click.FloatRange(1, 600),
    default=15.0,
    show_default=True,
    envvar="PENSTOCK_LEASE_SECONDS",
    hidden=True,
)
@click.option(
    "--http",
    "http_address",
    default="",
    callback=lambda context, parameter, value: _http_address(value),
    envvar="PENSTOCK_EXECUTOR_HTTP",
    help="HOST:PORT of /livez, /readyz and /metrics; nothing is served unless given.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="PENSTOCK_LOG_LEVEL",
    help="What is logged, and what is worse.",
)
@click.option(
    "--log-format",
    type=click.Choice(logs.FORMATS),
    default="text",
    show_default=True,
    envvar="PENSTOCK_LOG_FORMAT",
    help="Lines for people, or a JSON object a line.",
)
@container_options
@kubernetes_options
@click.pass_context
def main(
    context: click.Context,
    /,
    server: str,
    data_dir: Path,
    artifacts: str,
    store_config: Path | None,
    backend: str,
    parallelism: int | None,
    pass_env: tuple[str, ...],
    lineage: bool,
    name: str,
    lease_seconds: float,
    http_address: tuple[str, int] | None,
    log_level: str,
    log_format: str,
    container_runtime: str,
    container_option: tuple[str, ...],
    **kubernetes: Any,
) -> None:
    """Executes the runs of a Penstock server.

    Example: penstock-executor --server 127.0.0.1:8887 --parallelism 8
    """
    if context.invoked_subcommand is not None:
        return
    logs.configure(log_level, log_format)
    directory = data_dir.expanduser().absolute()
    environ = dict(os.environ)
    telemetry = _telemetry() if http_address else None
    try:
        stores = parse_file(store_config.read_text("utf-8")) if store_config else StoreConfig()
        if backend == "local":
            root = pipeline_root(artifacts or str(directory / "artifacts"))
            placed = _local(directory, root, stores, LocalOptions(parallelism or _slots(), pass_env), environ)
        elif backend == "container":
            containers = ContainerOptions(
                runtime=container_runtime,
                options=container_option,
                pass_env=pass_env,
                parallelism=parallelism or _slots(),
                **{name: kubernetes[name] for name in ("cancel_grace", "image_pull_deadline", "orphan_interval")},
            )
            root = pipeline_root(artifacts or stores.default_root or str(directory / "artifacts"))
            placed = on_containers(containers, directory, stores, root, environ)
        else:
            options = KubernetesOptions(**kubernetes)
            observe = telemetry.kubernetes_call if telemetry else lambda verb, code, seconds: None
            root = pipeline_root(artifacts) if artifacts else ""
            placed = on_kubernetes(options, stores, root, parallelism or _PODS, environ, observe)
    except (ArtifactStoreError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--store-config") from error
    # Incarnations of one name are in order, so that a later one can tell that it is.
    executor_id = f"{name or socket.gethostname() + '-' + str(os.getpid())}/{time.time_ns():020d}"
    garbage_collection.tune()
    asyncio.run(
        _serve(
            executor_id=executor_id,
            server=server,
            placed=placed,
            lineage=lineage,
            lease=lease_seconds,
            http=(telemetry, *http_address) if telemetry and http_address else None,
        )
    )


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """`passed_variables` are names of variables of ours that tasks get."""

    parallelism: int
    passed_variables: tuple[str, ...]


def _slots() -> int:
    return max(2, os.cpu_count() or 1)


def _local(
    directory: Path, root: str, stores: StoreConfig, options: LocalOptions, environ: Mapping[str, str]
) -> Placed:
    for part in ("work", "environments", "artifacts"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    path = path_of(root)
    files = FileArtifactStore(path if path is not None else directory / "artifacts")
    store = RoutedStore(replace(stores, default_root=root), environ, files=files)
    settings = LocalSettings(
        directory / "work",
        directory / "environments",
        options.parallelism,
        root=path,
        passed_variables=options.passed_variables,
    )
    return Placed(LOCAL, LocalBackend(settings, store, environ), root, f"{directory / 'work'}/{{run_id}}")


@main.command("replay")
@click.argument("log_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--artifacts", default="~/.penstock/artifacts", show_default=True, help="Artifact root of the run.")
@click.option("--work-dir", default="~/.penstock/work", show_default=True, help="Where the run had its workspace.")
def replay_command(log_file: Path, artifacts: str, work_dir: str) -> None:
    """Decide a run again from its event log; exit code 1 when that comes to something else.

    Example: penstock runs events RUN -o run.log && penstock-executor replay run.log
    """
    with log_file.open("rb") as lines:
        started = time.perf_counter()
        try:
            result = replay(
                lines, default_root=pipeline_root(artifacts), workspace_path=str(Path(work_dir).expanduser())
            )
        except (ReplayError, InvalidSpecError, ValueError) as error:
            raise click.ClickException(f"{log_file}: {error}") from error
    seconds = time.perf_counter() - started
    click.echo(f"run {result.run_id}: {result.events} events, {result.tasks} tasks, {seconds:.2f} s")
    for line in result.differences:
        click.echo(line)
    if result.differences:
        raise SystemExit(1)
    click.echo("decided the same")


def _servers(text: str) -> str:
    try:
        addresses_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return text


def _http_address(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    if text and (not port.isdecimal() or int(port) > 65535):
        raise click.BadParameter(f"{text!r} is no HOST:PORT")
    return (host.strip("[]") or "127.0.0.1", int(port)) if text else None


def _telemetry() -> Telemetry:
    # Imported here: nobody else pays for a web server and a metrics library.
    from penstock_executor.telemetry import Telemetry

    return Telemetry()


async def _serve(
    *,
    executor_id: str,
    server: str,
    placed: Placed,
    lineage: bool,
    lease: float,
    http: tuple[Telemetry, str, int] | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = DispatchClient(server, executor_id, placed.name)
    settings = ExecutorSettings(default_root=placed.root, workspace_path=placed.workspace_path, lease=lease)
    recorder = _recorder(server, lineage)
    if http is None:
        executor = Executor(client, placed.backend, recorder, settings)
        await _run(executor, client, executor_id, stop)
        return
    telemetry, host, port = http
    executor = Executor(client, placed.backend, recorder, settings, telemetry.reported)
    vitals = Vitals(executor.figures, executor.problems)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(telemetry.serving(vitals, host, port))
        except OSError as error:
            raise click.UsageError(f"--http: {host}:{port} cannot be used: {error.strerror or error}") from error
        await _run(executor, client, executor_id, stop)


async def _run(executor: Executor, client: DispatchClient, executor_id: str, stop: asyncio.Event) -> None:
    announced = asyncio.create_task(_announce(client, executor_id))
    try:
        await executor.run(stop)
    finally:
        announced.cancel()


async def _announce(client: DispatchClient, executor_id: str) -> None:
    await retried(
        lambda: client.heartbeat([], 1),
        # One that refuses may be of another version, in the middle of an upgrade.
        if_=lambda error: isinstance(error, ExecutorError),
        failed=lambda error: log.info("waiting for the server: %s", error),
    )
    click.echo(f"ready executor={executor_id}")
    sys.stdout.flush()


def _recorder(server: str, lineage: bool) -> Recorder:
    if not lineage:
        return NullRecorder()
    # Imported here: the wheel costs memory that an executor without lineage need not pay.
    from penstock_executor.metadata.mlmd import MlmdRecorder

    return MlmdRecorder(server)


if __name__ == "__main__":
    main()
