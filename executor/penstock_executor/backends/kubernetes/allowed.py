"""What the tasks of a namespace may use, by the lists of its ConfigMap `penstock` (docs/pods.md).

Invariants: pure. Without a list everything is allowed but what reaches beyond the namespace (`UNLISTED`); with one,
what it names. The names of the installation are allowed by no list. A refusal is a PodSpecError that says which field,
which name and which list. Every field that a pipeline can set is listed, bounded elsewhere or free with a reason: the
table in docs/pods.md, which is compared with the protos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.own_names import OwnNames
from penstock_executor.backends.kubernetes.scheduling_uses import Use, scheduling_uses
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_executor.backends.transfers import OCI
from penstock_executor.name_patterns import matches_any

WORDS: Mapping[str, str] = {
    "serviceAccounts": "the ServiceAccount",
    "secrets": "the Secret",
    "configMaps": "the ConfigMap",
    "claims": "the claim",
    "deletableClaims": "the claim",
    "labels": "the label",
    "annotations": "the annotation",
    "images": "the image",
    "pipelineRoots": "the pipeline root",
    "importUris": "the URI",
    "volumes": "the PersistentVolume",
    "storageClasses": "the storage class",
    "tolerations": "the taint",
    "nodeLabels": "the node's label",
    "affinityNamespaces": "the namespace",
}
"""By key of the ConfigMap: what its list is about."""

UNLISTED: Mapping[str, tuple[str, ...]] = {
    # Claims of other runs and teams, volumes of the whole cluster.
    "deletableClaims": ("*",),
    "volumes": ("*",),
    # The class without a name, by which a claim takes any volume that has none: as good as naming it.
    "storageClasses": ("",),
    # The nodes of the control plane, and by a toleration without a key all nodes.
    "tolerations": ("", "node-role.kubernetes.io/*"),
    # A Pod that cannot bear others' Pods keeps them off its nodes.
    "affinityNamespaces": ("*",),
}
"""By key: what is not allowed where the namespace has no such list."""


def check_task(task: TaskLaunch, policy: NamespacePolicy, own: OwnNames, run_claims: frozenset[str]) -> None:
    """Whether the task may have what its Pod would have. `run_claims` were made by the task's own run.

    Raises PodSpecError.
    """
    for key, name, field in _uses(task):
        if key == "claims" and name in run_claims:
            check_own(own, key, name, field)
        else:
            check_use(policy, own, key, name, field)
    # An administrator's choice, too: nothing makes a Pod run as the installation.
    check_own(own, "serviceAccounts", policy.service_account, "serviceAccount of the ConfigMap 'penstock'")
    _check_root(task, policy)
    for port, many in sorted(task.input_artifacts.items()):
        for artifact in many:
            _check_uri(task, policy, artifact.uri, f"input {port!r}")


def unlisted_claims(task: TaskLaunch, policy: NamespacePolicy, own: OwnNames) -> list[str]:
    """The claims that the task may mount only if its own run made them."""
    names = dict.fromkeys(name for key, name, _ in _uses(task) if key == "claims")
    return [name for name in names if not own.holds("claims", name) and not allows(policy, "claims", name)]


def check_own(own: OwnNames, key: str, name: str, field: str) -> None:
    """Raises PodSpecError for a name of the installation."""
    if own.holds(key, name):
        raise PodSpecError(f"{field}: {WORDS[key]} {name!r} is the installation's own, which no task may use")


def check_use(policy: NamespacePolicy, own: OwnNames, key: str, name: str, field: str) -> None:
    """Whether a task may use the name in that field of its pipeline or run. Raises PodSpecError."""
    check_own(own, key, name, field)
    if not allows(policy, key, name):
        raise _unlisted(key, name, field)


def allows(policy: NamespacePolicy, key: str, name: str) -> bool:
    """Whether the list of that key allows the name; without a list everything is but what `UNLISTED` has."""
    patterns = policy.allowed.get(key)
    return not matches_any(UNLISTED.get(key, ()), name) if patterns is None else matches_any(patterns, name)


def _uses(task: TaskLaunch) -> Iterator[Use]:
    if task.service_account:
        yield "serviceAccounts", task.service_account, "service_account of the run"
    yield "images", task.image, "image"
    for port, many in sorted(task.input_artifacts.items()):
        for artifact in many:
            if artifact.uri.startswith(OCI):
                yield "images", artifact.uri.removeprefix(OCI), f"input {port!r}"
    platform: Any = task.kubernetes
    for container in platform.get("initContainers") or ():
        yield "images", container["image"], f"kubernetes.initContainers[{container['name']}]"
    yield from _metadata_uses(platform, "kubernetes.podMetadata")
    for volume in platform.get("ownVolumes") or ():
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}
        yield from _metadata_uses(template.get("metadata") or {}, "kubernetes.genericEphemeralVolume.metadata")
        yield from _class_uses(template.get("spec") or {}, "kubernetes.genericEphemeralVolume.storageClassName")
    workspace = (platform.get("workspace") or {}).get("spec") or {}
    yield from _class_uses(workspace, "storageClassName of the workspace")
    yield from _sources(platform)
    yield from scheduling_uses(platform, task.namespace)


def _class_uses(claim: Mapping[str, Any], field: str) -> Iterator[Use]:
    """The class that a claim names; the cluster's default one is everybody's."""
    if "storageClassName" in claim:
        yield "storageClasses", claim["storageClassName"], field


def _sources(platform: Any) -> Iterator[Use]:
    """The Secrets, ConfigMaps and claims of the task's settings; the run's workspace is none of its choosing."""
    for name in platform.get("imagePullSecrets") or ():
        yield "secrets", name, "kubernetes.imagePullSecret"
    for entry in platform.get("env") or ():
        source = entry.get("valueFrom") or {}
        for reference, key, field in (
            ("secretKeyRef", "secrets", "secretAsEnv"),
            ("configMapKeyRef", "configMaps", "configMapAsEnv"),
        ):
            if reference in source:
                yield key, source[reference]["name"], f"kubernetes.{field}"
    workspace = (platform.get("workspace") or {}).get("claimName")
    for volume in platform.get("volumes") or ():
        if "secret" in volume:
            yield "secrets", volume["secret"]["secretName"], "kubernetes.secretAsVolume"
        elif "configMap" in volume:
            yield "configMaps", volume["configMap"]["name"], "kubernetes.configMapAsVolume"
        elif volume["persistentVolumeClaim"]["claimName"] != workspace:
            yield "claims", volume["persistentVolumeClaim"]["claimName"], "kubernetes.pvcMount"


def _metadata_uses(metadata: Mapping[str, Any], field: str) -> Iterator[Use]:
    """The labels and annotations that a pipeline sets."""
    for key in ("labels", "annotations"):
        for name in metadata.get(key) or ():
            yield key, name, f"{field}.{key}"


def _check_root(task: TaskLaunch, policy: NamespacePolicy) -> None:
    """Raises PodSpecError. The settings in a root's query lead to any endpoint, so a pattern has to name them."""
    if task.pipeline_root.rstrip("/") == policy.default_root.rstrip("/"):
        return
    patterns = policy.allowed.get("pipelineRoots")
    if patterns is not None and not _root_matches(patterns, task.pipeline_root):
        raise _unlisted("pipelineRoots", task.pipeline_root, "pipeline_root of the run")


def _root_matches(patterns: tuple[str, ...], root: str) -> bool:
    place, mark, query = root.partition("?")
    if not mark:
        return _uri_matches(patterns, place)
    halves = [pattern.partition("?") for pattern in patterns]
    return any(
        separator and _uri_matches((wanted,), place) and matches_any((settings,), query)
        for wanted, separator, settings in halves
    )


def _check_uri(task: TaskLaunch, policy: NamespacePolicy, uri: str, field: str) -> None:
    """An artifact that the task is given; those of its own run and of runs with the default root always are.

    Raises PodSpecError.
    """
    patterns = policy.allowed.get("importUris")
    if patterns is None:
        return
    roots = [root.split("?", 1)[0].rstrip("/") for root in (task.pipeline_root, policy.default_root)]
    if ".." not in uri.split("/") and any(root and uri.startswith(f"{root}/") for root in roots):
        return
    if not _uri_matches((*patterns, *policy.allowed.get("pipelineRoots", ())), uri):
        raise _unlisted("importUris", uri, field)


def _uri_matches(patterns: tuple[str, ...], uri: str) -> bool:
    return ".." not in uri.split("/") and matches_any(patterns, uri)


def _unlisted(key: str, name: str, field: str) -> PodSpecError:
    return PodSpecError(
        f"{field}: {WORDS[key]} {name!r} is not allowed in this namespace: the list {key!r} of its ConfigMap "
        "'penstock' does not name it"
    )
