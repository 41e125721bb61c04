"""What is mounted into a task's container, and the flags that say so.

Invariants: pure; nothing of a pipeline is mounted over what is ours; two mounts never share a path. An emptyDir and a
claim of the Pod alone are directories of the attempt, a claim by name is a volume of the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_ir.model import JsonValue

from penstock_executor.agent.protocol import SHARE, WRAPPER_DIR
from penstock_executor.backends.container.directory import AttemptDirectory, shared_place
from penstock_executor.backends.container.resources import quantity
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.pod_paths import SCRATCH, WORKSPACE

LOG = "/penstock/log"
OWN_VOLUMES = "volumes"


@dataclass(frozen=True, slots=True)
class Mount:
    """`source` is a path of this machine, a volume's name, or an image. `mode` is empty, `ro`, `image`, or `O` for an
    overlay, whose writes stay in the container. Without a source it is memory, of `size` bytes when that is not 0."""

    target: str
    source: str = ""
    mode: str = ""
    size: int = 0

    def options(self) -> list[str]:
        """Raises TaskSpecError for a path that no flag can hold."""
        if not self.source:
            return ["--tmpfs", f"{self.target}:size={self.size}" if self.size else self.target]
        for path in (self.source, self.target):
            if "," in path or '"' in path or (":" in path and self.mode == "O"):
                raise TaskSpecError(f"{path} cannot be mounted into a container: it holds a comma, a quote or a colon")
        if self.mode == "O":
            return ["--volume", f"{self.source}:{self.target}:O"]
        kind = "image" if self.mode == "image" else "bind" if self.source.startswith("/") else "volume"
        suffix = ",readonly" if self.mode == "ro" else ""
        return ["--mount", f"type={kind},source={self.source},target={self.target}{suffix}"]


def our_mounts(directory: AttemptDirectory, wrapper: Path, log: Path, paths: Iterable[str]) -> list[Mount]:
    """The places of a task whose files lie at `paths`; their directories are made. Raises OSError."""
    places = dict.fromkeys([SCRATCH, *filter(None, map(shared_place, sorted(paths)))])
    places.pop(WORKSPACE, None)
    return [
        *(Mount(place, str(directory.place(place))) for place in places),
        Mount(SHARE, str(directory.share)),
        Mount(LOG, str(log)),
        Mount(f"{WRAPPER_DIR}/run", str(wrapper), "ro"),
    ]


def claims_in_parts(platform: Mapping[str, Any]) -> list[str]:
    """The claims of which a `subPath` is mounted, so that their mountpoints have to be known."""
    names = _claims(platform)
    return [names[one["name"]] for one in platform.get("volumeMounts") or () if one.get("subPath")]


def task_mounts(
    platform: Mapping[str, JsonValue],
    directory: AttemptDirectory,
    mountpoints: Mapping[str, str],
    ours: Sequence[Mount],
) -> list[Mount]:
    """What the task's settings ask for. `mountpoints` are the directories of claims of which a `subPath` is mounted.

    Raises TaskSpecError.
    """
    settings: Any = platform
    claims, workspace = _claims(settings), (settings.get("workspace") or {}).get("claimName")
    mounts: list[Mount] = []
    for one in settings.get("volumeMounts") or ():
        claim = claims.get(one["name"])
        if claim is None:
            # A Secret or ConfigMap that may be missing, hence an empty directory.
            mounts.append(Mount(one["mountPath"]))
        elif claim == workspace:
            mounts.append(Mount(one["mountPath"], str(directory.workspace)))
        elif one.get("subPath"):
            mounts.append(Mount(one["mountPath"], _within(mountpoints[claim], one["subPath"])))
        else:
            mounts.append(Mount(one["mountPath"], claim))
    sources = {volume["name"]: volume for volume in settings.get("ownVolumes") or ()}
    mounts += [_own(sources[one["name"]], one, directory) for one in settings.get("ownVolumeMounts") or ()]
    _check(mounts, ours)
    return mounts


def _own(volume: Mapping[str, Any], mount: Mapping[str, Any], directory: AttemptDirectory) -> Mount:
    """Raises TaskSpecError."""
    source = volume.get("emptyDir") or {}
    if source.get("medium") == "Memory":
        size = int(quantity(source["sizeLimit"], "memory of a volume")) if source.get("sizeLimit") else 0
        return Mount(mount["mountPath"], size=size)
    return Mount(mount["mountPath"], str(directory.path / OWN_VOLUMES / volume["name"]))


def _claims(platform: Mapping[str, Any]) -> dict[str, str]:
    """By the name of the volume."""
    return {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in platform.get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }


def _within(volume: str, part: str) -> str:
    """Raises TaskSpecError."""
    if ".." in part.split("/"):
        raise TaskSpecError(f"kubernetes.pvcMount: subPath {part!r} must not lead out of its claim")
    return f"{volume}/{part.strip('/')}"


def _check(users: Sequence[Mount], ours: Sequence[Mount]) -> None:
    """Raises TaskSpecError."""
    taken = {mount.target for mount in ours}
    seen: set[str] = set()
    for mount in users:
        path = mount.target
        if path in taken or f"{path}/".startswith("/penstock/"):
            raise TaskSpecError(f"kubernetes: {path} is where Penstock keeps a task's files; mount it elsewhere")
        if path in seen:
            raise TaskSpecError(f"kubernetes: two volumes are mounted at {path}")
        seen.add(path)
