"""The flags of the Kubernetes backend, and the backend built from them.

Why apart from `main`: they are many, and a laptop needs none of them. Invariant: flags and environment are still read
by click alone, in the one command that uses `kubernetes_options`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from penstock_ir.backend_limits import KUBERNETES
from penstock_store.config import DEFAULT_ROOT, StoreConfig
from penstock_store.files import FileArtifactStore

from penstock_executor.backends.base import Backend


@dataclass(frozen=True, slots=True)
class Placed:
    """Where tasks run and where what they leave lies. `name` is the backend's, as `penstock_ir.backend_limits` has it;
    `root` is the pipeline root of runs that name none."""

    name: str
    backend: Backend
    root: str
    workspace_path: str


_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    """Times in seconds."""

    kubeconfig: str
    kube_context: str
    namespace: str
    instance: str
    agent_image: str
    agent_pull_policy: str
    agent_secret: str
    architecture: str
    run_as_user: int
    artifacts_claim: str
    ca_config_map: str
    pod_retention: str
    pending_deadline: float
    image_pull_deadline: float
    cancel_grace: int
    writes_per_second: float
    orphan_interval: float
    namespace_parallelism: int
    wait_for_sidecars: bool


class Names(click.types.StringParamType):
    """Several in an environment variable stand with commas, as those of the server's options."""

    envvar_list_splitter = ","


_PROXY = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_OPTIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "kubeconfig",
        {
            "default": "",
            "envvar": "KUBECONFIG",
            "help": "Files to find the cluster in; ~/.kube/config or the Pod's own.",
        },
    ),
    ("kube-context", {"default": "", "help": "Context of the kubeconfig; its current one unless given."}),
    ("namespace", {"default": "", "help": "Where tasks of runs without a namespace go; the context's unless given."}),
    (
        "instance",
        {"default": "penstock", "show_default": True, "help": "Tells the Pods of this installation from others'."},
    ),
    ("agent-image", {"default": "", "help": "Image of the agent: the one this program is in."}),
    (
        "agent-pull-policy",
        {
            "type": click.Choice(["Always", "IfNotPresent", "Never"]),
            "default": "IfNotPresent",
            "show_default": True,
            "help": "When that image is pulled.",
        },
    ),
    ("agent-secret", {"default": "", "help": "Secret whose keys become variables of agents: credentials of stores."}),
    (
        "architecture",
        {
            "type": click.Choice(["amd64", "arm64", "mixed"]),
            "default": "amd64",
            "show_default": True,
            "help": "Of the nodes that run tasks.",
        },
    ),
    (
        "run-as-user",
        {"type": click.IntRange(min=1), "default": 1000, "show_default": True, "help": "User id of tasks."},
    ),
    ("artifacts-claim", {"default": "", "help": "Claim that holds the artifacts of a file:// root; agents mount it."}),
    ("ca-config-map", {"default": "", "help": "ConfigMap with the certificates to trust, under the key ca.crt."}),
    (
        "pod-retention",
        {
            "default": "always",
            "show_default": True,
            "help": "When finished Pods are removed: always (at once), success (failed ones stay), never, or seconds.",
        },
    ),
    (
        "namespace-parallelism",
        {
            "type": click.IntRange(min=0),
            "default": 0,
            "show_default": True,
            "help": "Pods of this installation at the same time in one namespace; 0 leaves it to --parallelism.",
        },
    ),
    (
        "pending-deadline",
        {
            "type": click.FloatRange(min=1),
            "default": 3600.0,
            "show_default": True,
            "help": "Seconds until a Pod must run; not counted while a scheduling gate holds it back.",
        },
    ),
    (
        "image-pull-deadline",
        {
            "type": click.FloatRange(min=0),
            "default": 600.0,
            "show_default": True,
            "help": "Seconds from when a Pod has a node until its images must be there.",
        },
    ),
    (
        "wait-for-sidecars",
        {
            "is_flag": True,
            "default": False,
            "help": "A container that a webhook adds to a Pod keeps its task; else the end of the task's own decides.",
        },
    ),
    (
        "cancel-grace",
        {
            "type": click.IntRange(0, 3600),
            "default": 3,
            "show_default": True,
            "help": "Seconds between SIGTERM and SIGKILL of a task that is ended.",
        },
    ),
    (
        "writes-per-second",
        {
            "type": click.FloatRange(min=0.1),
            "default": 300.0,
            "show_default": True,
            "help": "Bound of Pod creates and of deletes.",
        },
    ),
    (
        "orphan-interval",
        {
            "type": click.FloatRange(min=1),
            "default": 60.0,
            "show_default": True,
            "help": "Seconds between looks for Pods without a run.",
        },
    ),
)


def kubernetes_options(command: _Command) -> _Command:
    """Adds the flags of `KubernetesOptions`, each with an environment variable `PENSTOCK_…`."""
    for name, settings in reversed(_OPTIONS):
        variable = f"PENSTOCK_{name.upper().replace('-', '_')}"
        command = click.option(f"--{name}", **{"envvar": variable, **settings})(command)
    return command


def on_kubernetes(
    options: KubernetesOptions,
    stores: StoreConfig,
    root: str,
    parallelism: int,
    environ: Mapping[str, str],
    observe: Callable[[str, str, float], None],
) -> Placed:
    """The backend on a cluster, with `parallelism` Pods at a time; `observe` as KubeClient's.

    Raises click.UsageError for what is missing.
    """
    # Imported here: a laptop needs neither the client libraries nor their memory.
    from penstock_kube.client import KubeClient
    from penstock_kube.config import load_cluster
    from penstock_kube.errors import KubeConfigError

    from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
    from penstock_executor.backends.kubernetes.build import Dependencies, kubernetes_backend
    from penstock_executor.backends.kubernetes.capacity import Bounds
    from penstock_executor.backends.kubernetes.give_up import Deadlines
    from penstock_executor.backends.kubernetes.retention import RetentionPolicy
    from penstock_executor.backends.kubernetes.settings import ArtifactsClaim, CertificateBundle, PodSettings
    from penstock_executor.backends.kubernetes.wrapper import wrapper_config_map

    root = root or stores.default_root or DEFAULT_ROOT
    if not options.agent_image:
        raise click.UsageError("--agent-image: the image of this program is needed, agents of tasks run it")
    if options.artifacts_claim and not root.startswith("file://"):
        raise click.UsageError(f"--artifacts-claim: it is for a file:// root, and --artifacts is {root}")
    try:
        cluster = load_cluster(kubeconfig=options.kubeconfig, context=options.kube_context)
        retention = RetentionPolicy.parse(options.pod_retention)
    except KubeConfigError as error:
        raise click.UsageError(str(error)) from error
    except ValueError as error:
        raise click.UsageError(f"--pod-retention: {error}") from error
    namespace = options.namespace or cluster.namespace
    claim = ArtifactsClaim(options.artifacts_claim, root.removeprefix("file://")) if options.artifacts_claim else None
    settings = BackendSettings(
        pods=PodSettings(
            agent_image=options.agent_image,
            instance=options.instance,
            wrapper_config_map=wrapper_config_map()["metadata"]["name"],
            agent_image_pull_policy=options.agent_pull_policy,
            default_namespace=namespace,
            run_as_user=options.run_as_user,
            architecture=options.architecture,  # type: ignore[arg-type]
            artifacts_claim=claim,
            certificates=CertificateBundle(options.ca_config_map) if options.ca_config_map else None,
            proxy=tuple((name, environ[name]) for name in _PROXY if environ.get(name)),
            agent_env_from_secret=options.agent_secret,
        ),
        retention=retention,
        bounds=Bounds(parallelism, options.namespace_parallelism),
        deadlines=Deadlines(options.pending_deadline, options.image_pull_deadline),
        wait_for_sidecars=options.wait_for_sidecars,
        cancel_grace_seconds=options.cancel_grace,
        orphan_seconds=options.orphan_interval,
    )
    stores = replace(stores, default_root=root)
    files = FileArtifactStore(Path(root.removeprefix("file://"))) if root.startswith("file://") else None
    dependencies = Dependencies(KubeClient(cluster, observe=observe), stores, environ, files)
    backend = kubernetes_backend(dependencies, settings, options.writes_per_second)
    return Placed(KUBERNETES, backend, root, "/kfp-workspace")
