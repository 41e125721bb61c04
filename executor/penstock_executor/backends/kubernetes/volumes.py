"""The volumes that every task's Pod has, and where they are mounted (docs/pods.md).

Invariants: one emptyDir for each directory that is used, and none besides; the agent sees the task's files at the same
paths. No two mounts of a container share a path, and nothing of a pipeline hides what is ours.

Why not one emptyDir with a `subPath` for each directory: the kubelet mounts every `subPath` once more, which made a Pod
cost 1.25 times a bare one instead of 1.1 times (docs/decisions/emptydir-per-place.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock_executor.agent.protocol import SHARE, WRAPPER_DIR
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.lightweight import FIRST_PROCESS
from penstock_executor.backends.kubernetes.settings import PodSettings
from penstock_executor.pod_paths import SCRATCH, WORKSPACE

Json = dict[str, Any]

_SCRATCH = "penstock-at-"
WRAPPER_VOLUME = "penstock-wrapper"
ARTIFACTS_VOLUME = "penstock-artifacts"
CERTIFICATES_VOLUME = "penstock-certificates"
CERTIFICATES = "/etc/penstock/certificates"
HOMES = ("/.local", "/.cache", "/.config")
"""Where programs write whose user has no home (HOME is `/`), and no wrapper to give it one."""


def scratch_volumes(containers: Iterable[Json]) -> list[Json]:
    """The emptyDirs that the containers mount."""
    mounted = [mount["name"] for container in containers for mount in container.get("volumeMounts", ())]
    names = [name for name in dict.fromkeys(mounted) if name.startswith(_SCRATCH)]
    return [{"name": name, "emptyDir": {}} for name in names]


def wrapper_volume(settings: PodSettings, architecture: str, *, worker: bool = False) -> Json:
    """With the binary for `architecture`, or with all when it is empty; `worker`: also what a worker begins with."""
    source: Json = {"name": settings.wrapper_config_map, "defaultMode": 0o555}
    if architecture:
        names = ("run", "worker") if worker else ("run",)
        source["items"] = [{"key": f"{name}-{architecture}", "path": name} for name in names]
        if worker:
            source["items"].append({"key": FIRST_PROCESS, "path": FIRST_PROCESS})
    return {"name": WRAPPER_VOLUME, "configMap": source}


def wrapper_mount(architecture: str) -> Json:
    """`architecture` empty: the binary that `wrapper_choice` has copied there."""
    if architecture:
        return {"name": WRAPPER_VOLUME, "mountPath": WRAPPER_DIR, "readOnly": True}
    return {**wrapper_target(), "readOnly": True}


def wrapper_target() -> Json:
    """Where `wrapper_choice` copies the binary for its node to."""
    return scratch_mount(WRAPPER_DIR)


def file_mounts(paths: Iterable[str], *, share: bool) -> list[Json]:
    """Mounts of emptyDirs under which all of `paths` lie, but those in the workspace."""
    tops = mounted_for(paths) - {WORKSPACE, SCRATCH}
    mounts = [scratch_mount(SCRATCH), *(scratch_mount(top) for top in sorted(tops))]
    return [*mounts, scratch_mount(SHARE)] if share else mounts


def mounted_for(paths: Iterable[str]) -> frozenset[str]:
    """The directories that are mounted for them."""
    return frozenset(map(_top, paths))


def directory_mounts(*paths: str) -> list[Json]:
    """Mounts for `paths` that must exist though nothing in the Pod creates them: the kubelet creates what it mounts."""
    found = []
    for path in paths:
        top = _top(path)
        within = path[len(top) :]
        if within:
            found.append({**scratch_mount(top), "mountPath": path, "subPath": within.removeprefix("/")})
    return found


def lies_at_home(mounts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the mounts is in a home of `HOMES`: then the program expects it there."""
    paths = [f"{mount.get('mountPath')}/" for mount in mounts]
    return any(path.startswith(f"{home}/") for path in paths for home in HOMES)


def home_mounts() -> list[Json]:
    """An emptyDir of its own over each of `HOMES`."""
    return [scratch_mount(home) for home in HOMES]


def certificates_volume(settings: PodSettings) -> list[Json]:
    """One volume with the CA bundle of the settings, none when they name none."""
    bundle = settings.certificates
    if bundle is None:
        return []
    items = [{"key": bundle.key, "path": "ca.crt"}]
    if bundle.kind == "Secret":
        return [{"name": CERTIFICATES_VOLUME, "secret": {"secretName": bundle.name, "items": items}}]
    return [{"name": CERTIFICATES_VOLUME, "configMap": {"name": bundle.name, "items": items}}]


def certificates_mount(settings: PodSettings) -> list[Json]:
    """Read-only at `CERTIFICATES`; none when the settings name no bundle."""
    if settings.certificates is None:
        return []
    return [{"name": CERTIFICATES_VOLUME, "mountPath": CERTIFICATES, "readOnly": True}]


def certificates_env(settings: PodSettings) -> list[Json]:
    """The variables by which OpenSSL, requests and AWS's SDKs find the bundle; none without a bundle."""
    if settings.certificates is None:
        return []
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
    return [{"name": name, "value": f"{CERTIFICATES}/ca.crt"} for name in names]


def with_users_mounts(ours: Sequence[Json], users: Sequence[Json], root: str, *, workspace: bool) -> list[Json]:
    """Both. Raises PodSpecError when a mount of the pipeline is in the way, also where `root` would be mounted."""
    taken = {_top(root), *(mount["mountPath"] for mount in ours)}
    seen: set[str] = set()
    for mount in users:
        path = mount["mountPath"]
        if path in taken or f"{path}/".startswith("/penstock/"):
            raise PodSpecError(
                f"kubernetes: {path} is where Penstock keeps a task's files; mount {mount['name']!r} elsewhere"
            )
        if path in seen:
            raise PodSpecError(f"kubernetes: two volumes are mounted at {path}")
        if workspace and path.startswith(f"{WORKSPACE}/"):
            raise PodSpecError(f"kubernetes: {path} lies in the run's workspace; mount {mount['name']!r} elsewhere")
        seen.add(path)
    return [*ours, *users]


def _top(path: str) -> str:
    for known in (SCRATCH, WORKSPACE):
        if path == known or path.startswith(f"{known}/"):
            return known
    return "/" + path.split("/", 2)[1]


def scratch_mount(path: str) -> Json:
    """The emptyDir that belongs to a path."""
    return {"name": _SCRATCH + path.rsplit("/", 1)[-1].lstrip("."), "mountPath": path}


def one_volume_per_claim(spec: Json) -> None:
    """Lets all mounts of a claim share one volume: a kubelet waits for ever for the second of two."""
    kept: dict[str, str] = {}
    renamed: dict[str, str] = {}
    volumes = []
    for volume in spec["volumes"]:
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim in kept:
            renamed[volume["name"]] = kept[claim]
            continue
        if claim is not None:
            kept[claim] = volume["name"]
        volumes.append(volume)
    spec["volumes"] = volumes
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        mounts = container.get("volumeMounts")
        if mounts and renamed:
            container["volumeMounts"] = [{**one, "name": renamed.get(one["name"], one["name"])} for one in mounts]
