"""The settings of `penstock-executor`, one row each: its options, their variables and docs/settings.md come from here.

Invariant: importing this module is cheap, because `penstock up` does so before it starts anything: no gRPC, no client
of a store or a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
from penstock.option_types import Address, AddressType, CheckedText
from penstock.settings import UpOption, setting
from penstock.tls_files import TlsFiles, TlsFilesError

_FILE = click.Path(path_type=Path, dir_okay=False)


def _servers(text: str) -> str:
    # Imported here: it brings gRPC along.
    from penstock_executor.channel import addresses_of

    addresses_of(text)
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """What was given, row by row. Times in seconds."""

    server: str = setting(
        "--server",
        "PENSTOCK_SERVER",
        "Where the server serves executors, its --dispatch; of several, separated by commas, the next one when one is "
        "away.",
        type=CheckedText("TEXT", _servers),
        default="127.0.0.1:8886",
    )
    dispatch_secret_file: Path | None = setting(
        "--dispatch-secret-file",
        "PENSTOCK_DISPATCH_SECRET_FILE",
        "File whose first line is the secret that proves to the server that this is an executor.",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
    )
    token_file: Path | None = setting(
        "--token-file",
        "PENSTOCK_EXECUTOR_TOKEN_FILE",
        "File with the service account's token for the audience penstock-dispatch, which proves it instead.",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
    )

    tls_ca: Path | None = setting(
        "--tls-ca",
        "PENSTOCK_EXECUTOR_TLS_CA",
        "PEM file with the authorities that sign the server's certificate; TLS is spoken with it, and only with it.",
        type=_FILE,
        default=None,
    )
    tls_cert: Path | None = setting(
        "--tls-cert",
        "PENSTOCK_EXECUTOR_TLS_CERT",
        "PEM file with this executor's certificate, for a server that asks for one.",
        type=_FILE,
        default=None,
    )
    tls_key: Path | None = setting(
        "--tls-key", "PENSTOCK_EXECUTOR_TLS_KEY", "PEM file with the key of that certificate.", type=_FILE, default=None
    )

    # Files and stores.
    data_dir: Path = setting(
        "--data-dir",
        "PENSTOCK_DATA_DIR",
        "Where work directories, task environments and artifacts lie.",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("~/.penstock"),
        up=UpOption(),
    )
    artifacts: str = setting(
        "--artifacts",
        "PENSTOCK_ARTIFACTS",
        "Pipeline root of runs that name none: DATA_DIR/artifacts, or a URI such as s3://bucket/prefix.",
        up=UpOption(),
    )
    store_config: Path | None = setting(
        "--store-config",
        "PENSTOCK_STORE_CONFIG",
        "YAML with `providers` and `defaultPipelineRoot`, as in the ConfigMap kfp-launcher.",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        default=None,
    )

    # Tasks.
    backend: Literal["local", "container", "kubernetes"] = setting(
        "--backend",
        "PENSTOCK_BACKEND",
        "Where tasks run.",
        type=click.Choice(["local", "container", "kubernetes"]),
        default="local",
        up=UpOption(
            "Where tasks run; for kubernetes, what penstock-executor --help lists is set by its PENSTOCK_ variables."
        ),
    )
    parallelism: int | None = setting(
        "--parallelism",
        "PENSTOCK_PARALLELISM",
        "Tasks that run at the same time; with Kubernetes Pods of the installation.",
        type=click.IntRange(min=1, max=100_000),
        default=None,
        default_in_words="number of cores, at least 2; with Kubernetes 1000",
        up=UpOption("Tasks at the same time; unless given the number of cores, at least 2; on Kubernetes 1000 Pods."),
    )
    pass_env: tuple[str, ...] = setting(
        "--pass-env",
        "PENSTOCK_PASS_ENV",
        "A variable of this program's environment that tasks on this machine get too; may be given several times.",
        type=CheckedText("NAME"),
        several=True,
        up=UpOption("A variable of this environment that tasks on this machine get too; may be given several times."),
    )

    # This program.
    lineage: bool = setting(
        "--lineage/--no-lineage", "PENSTOCK_LINEAGE", "Record lineage in ML Metadata.", default=True
    )
    name: str = setting(
        "--name",
        "PENSTOCK_EXECUTOR_NAME",
        "A name that outlives this process and that no other living executor has: a restart takes its runs at once.",
    )
    # What the server would give otherwise, we would not know.
    lease_seconds: float = setting(
        "--lease-seconds", "PENSTOCK_LEASE_SECONDS", type=click.FloatRange(1, 600), default=15.0, hidden=True
    )
    http: Address | None = setting(
        "--http",
        "PENSTOCK_EXECUTOR_HTTP",
        "HOST:PORT of /livez, /readyz and /metrics; nothing is served unless given.",
        type=AddressType(optional=True),
    )
    log_level: str = setting(
        "--log-level",
        "PENSTOCK_LOG_LEVEL",
        "What is logged, and what is worse.",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        up=UpOption(),
    )
    log_format: str = setting(
        "--log-format",
        "PENSTOCK_LOG_FORMAT",
        "Lines for people, or a JSON object a line.",
        type=click.Choice(["text", "json"]),
        default="text",
        up=UpOption(),
    )

    # Containers of this machine.
    container_runtime: str = setting(
        "--container-runtime",
        "PENSTOCK_CONTAINER_RUNTIME",
        "Program that runs containers; podman, or else docker, unless given.",
        up=UpOption("For --backend container: podman or docker; the one that is found unless given."),
    )
    container_options: tuple[str, ...] = setting(
        "--container-option",
        "PENSTOCK_CONTAINER_OPTION",
        "An option of its `run` for every container, besides those found by trying; may be repeated.",
        several=True,
        up=UpOption("For --backend container: an option of the runtime's `run`; may be repeated."),
    )

    # Kubernetes; the deadline for images, the grace and the interval hold for containers too.
    kubeconfig: str = setting(
        "--kubeconfig", "KUBECONFIG", "Files to find the cluster in; ~/.kube/config or the Pod's own."
    )
    kube_context: str = setting(
        "--kube-context", "PENSTOCK_KUBE_CONTEXT", "Context of the kubeconfig; its current one unless given."
    )
    namespace: str = setting(
        "--namespace", "PENSTOCK_NAMESPACE", "Where tasks of runs without a namespace go; the context's unless given."
    )
    instance: str = setting(
        "--instance", "PENSTOCK_INSTANCE", "Tells the Pods of this installation from others'.", default="penstock"
    )
    agent_image: str = setting(
        "--agent-image", "PENSTOCK_AGENT_IMAGE", "Image of the agent: the one this program is in."
    )
    agent_pull_policy: str = setting(
        "--agent-pull-policy",
        "PENSTOCK_AGENT_PULL_POLICY",
        "When that image is pulled.",
        type=click.Choice(["Always", "IfNotPresent", "Never"]),
        default="IfNotPresent",
    )
    agent_secret: str = setting(
        "--agent-secret",
        "PENSTOCK_AGENT_SECRET",
        "Secret whose keys become variables of agents: credentials of stores.",
    )
    architecture: Literal["amd64", "arm64", "mixed"] = setting(
        "--architecture",
        "PENSTOCK_ARCHITECTURE",
        "Of the nodes that run tasks.",
        type=click.Choice(["amd64", "arm64", "mixed"]),
        default="amd64",
    )
    run_as_user: int = setting(
        "--run-as-user", "PENSTOCK_RUN_AS_USER", "User id of tasks.", type=click.IntRange(min=1), default=1000
    )
    artifacts_claim: str = setting(
        "--artifacts-claim",
        "PENSTOCK_ARTIFACTS_CLAIM",
        "Claim that holds the artifacts of a file:// root; agents mount it.",
    )
    ca_config_map: str = setting(
        "--ca-config-map",
        "PENSTOCK_CA_CONFIG_MAP",
        "ConfigMap with the certificates to trust, under the key ca.crt.",
    )
    own_service_accounts: str = setting(
        "--own-service-accounts",
        "PENSTOCK_OWN_SERVICE_ACCOUNTS",
        "ServiceAccounts of the installation, which no task may run as; patterns with *, as in the next three.",
        default="penstock-executor,penstock-server",
    )
    own_secrets: str = setting(
        "--own-secrets",
        "PENSTOCK_OWN_SECRETS",
        "Secrets of the installation, which no task may use; those of stores and agents are besides.",
        default="penstock-*",
    )
    own_config_maps: str = setting(
        "--own-config-maps",
        "PENSTOCK_OWN_CONFIG_MAPS",
        "ConfigMaps of the installation, which no task may use.",
        default="penstock,penstock-*",
    )
    own_claims: str = setting(
        "--own-claims",
        "PENSTOCK_OWN_CLAIMS",
        "Claims of the installation, which no task may mount or delete; that of --artifacts-claim is besides.",
        default="penstock-data,penstock-artifacts",
    )
    pod_retention: str = setting(
        "--pod-retention",
        "PENSTOCK_POD_RETENTION",
        "When finished Pods are removed: always (at once), success (failed ones stay), never, or seconds.",
        default="always",
    )
    namespace_parallelism: int = setting(
        "--namespace-parallelism",
        "PENSTOCK_NAMESPACE_PARALLELISM",
        "Pods of this installation at the same time in one namespace; 0 leaves it to --parallelism.",
        type=click.IntRange(min=0),
        default=0,
    )
    pending_deadline: float = setting(
        "--pending-deadline",
        "PENSTOCK_PENDING_DEADLINE",
        "Seconds until a Pod must run; not counted while a scheduling gate holds it back.",
        type=click.FloatRange(min=1),
        default=3600.0,
    )
    image_pull_deadline: float = setting(
        "--image-pull-deadline",
        "PENSTOCK_IMAGE_PULL_DEADLINE",
        "Seconds from when a Pod has a node until its images must be there.",
        type=click.FloatRange(min=0),
        default=600.0,
    )
    free_preemptions: bool = setting(
        "--free-preemptions",
        "PENSTOCK_FREE_PREEMPTIONS",
        "Attempts whose Pod was preempted count against no budget. Not while a program of the release before runs.",
        default=False,
    )
    wait_for_sidecars: bool = setting(
        "--wait-for-sidecars",
        "PENSTOCK_WAIT_FOR_SIDECARS",
        "A container that a webhook adds to a Pod keeps its task; else the end of the task's own decides.",
        default=False,
    )
    cancel_grace: int = setting(
        "--cancel-grace",
        "PENSTOCK_CANCEL_GRACE",
        "Seconds between SIGTERM and SIGKILL of a task that is ended.",
        type=click.IntRange(0, 3600),
        default=3,
    )
    writes_per_second: float = setting(
        "--writes-per-second",
        "PENSTOCK_WRITES_PER_SECOND",
        "Bound of Pod creates and of deletes.",
        type=click.FloatRange(min=0.1),
        default=300.0,
    )
    orphan_interval: float = setting(
        "--orphan-interval",
        "PENSTOCK_ORPHAN_INTERVAL",
        "Seconds between looks for Pods without a run.",
        type=click.FloatRange(min=1),
        default=60.0,
    )

    def tls_files(self) -> TlsFiles | None:
        """None for plain text. Raises TlsFilesError for a certificate without the authorities to trust."""
        files = TlsFiles(self.tls_cert, self.tls_key, self.tls_ca, ("--tls-cert", "--tls-key", "--tls-ca"))
        if files.paths() and self.tls_ca is None:
            raise TlsFilesError("--tls-ca: is needed for TLS")
        return files if files.paths() else None

    def directory(self) -> Path:
        """The data directory as an absolute path."""
        return self.data_dir.expanduser().absolute()
