"""The volumes of a task's Kubernetes settings (executor.md §4): one volume per source, however often it is mounted.

Invariants: names of volumes are DNS labels, though names of Secrets and claims need not be, and never those of volumes
that a backend adds (`penstock…`); the same settings give the same names. A mount's path is absolute.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from penstock_executor.engine.inputs import InputError
from penstock_executor.engine.kubernetes.workspace import ACCESS_MODES

Json = dict[str, Any]

WORKSPACE = "kfp-workspace"
_NO_LABEL = re.compile(r"[^a-z0-9-]+")
_SOURCES = {"secretAsVolume": ("secret", "secretName"), "configMapAsVolume": ("configMap", "name")}


class Volumes:
    def __init__(self) -> None:
        self._shared: dict[tuple[str, str], Json] = {}
        self._own: dict[tuple[str, str], Json] = {}
        self._mounts: list[Json] = []
        self._own_mounts: list[Json] = []
        self._by_given_name: dict[str, str] = {}

    def document(self) -> Json:
        return {
            "volumes": list(self._shared.values()),
            "volumeMounts": self._mounts,
            "ownVolumes": list(self._own.values()),
            "ownVolumeMounts": self._own_mounts,
        }

    def workspace(self, claim: str, path: str) -> None:
        self._shared[("workspace", claim)] = {"name": WORKSPACE, "persistentVolumeClaim": {"claimName": claim}}
        self._mounts.append({"name": WORKSPACE, "mountPath": path})

    def named(self, field: str, name: str, path: str, *, optional: bool, place: str) -> None:
        """A Secret or ConfigMap; it has to exist as soon as one of its mounts says so."""
        kind, key = _SOURCES[field]
        volume = self._shared.get((kind, name))
        if volume is None:
            volume = {"name": self._name(kind, name), kind: {key: name, "optional": optional}}
            self._shared[(kind, name)] = volume
        elif not optional:
            volume[kind]["optional"] = False
        self._mounts.append({"name": volume["name"], "mountPath": _path(path, place)})

    def claim(self, name: str, path: str, sub_path: str, place: str) -> None:
        kind = "persistentVolumeClaim"
        volume = self._shared.setdefault((kind, name), {"name": self._name(kind, name), kind: {"claimName": name}})
        mount = {"name": volume["name"], "mountPath": _path(path, place)}
        if sub_path:
            mount["subPath"] = sub_path
        self._mounts.append(mount)

    def ephemeral(self, config: Mapping[str, Any], place: str) -> None:
        name = self._given_name(config, place)
        modes = list(config.get("accessModes") or ())
        unknown = [mode for mode in modes if mode not in ACCESS_MODES]
        if unknown or not modes:
            what = f"unknown access mode {unknown[0]!r}" if unknown else "no access mode"
            raise InputError(f"kubernetes.{place}.accessModes: {what}; use {', '.join(ACCESS_MODES)}")
        if not config.get("size"):
            raise InputError(f"kubernetes.{place}.size: how large is it to be? For example 5Gi")
        claim: Json = {"accessModes": modes, "resources": {"requests": {"storage": config["size"]}}}
        if not config.get("defaultStorageClass"):
            claim["storageClassName"] = config.get("storageClassName", "")
        template: Json = {"spec": claim}
        metadata = {key: value for key, value in (config.get("metadata") or {}).items() if value}
        if metadata:
            template["metadata"] = metadata
        self._own_volume("ephemeral", name, {"ephemeral": {"volumeClaimTemplate": template}}, config, place)

    def empty_dir(self, config: Mapping[str, Any], place: str) -> None:
        source = {key: config[key] for key in ("medium", "sizeLimit") if config.get(key)}
        self._own_volume("emptyDir", self._given_name(config, place), {"emptyDir": source}, config, place)

    def shared_memory(self, config: Mapping[str, Any]) -> None:
        source = {"medium": "Memory", **({"sizeLimit": config["size"]} if config.get("size") else {})}
        name = config.get("volumeName") or "shm"
        mount: dict[str, Any] = {"mountPath": "/dev/shm"}  # noqa: S108 - the Pod's
        self._own_volume("emptyDir", name, {"emptyDir": source}, mount, "enabledSharedMemory")

    def mount_of(self, config: Mapping[str, Any], place: str) -> Json:
        """An init container's mount of a volume, by the name the settings gave it."""
        name = config.get("volumeName", "")
        if name not in self._by_given_name:
            known = ", ".join(sorted(self._by_given_name)) or "none"
            raise InputError(f"{place}: the task has no volume {name!r}; it has {known}")
        return {"name": self._by_given_name[name], "mountPath": _path(config.get("mountPath", ""), place)}

    def _own_volume(self, kind: str, name: str, source: Json, config: Mapping[str, Any], place: str) -> None:
        volume = self._own.get((kind, name))
        if volume is None:
            volume = {"name": self._name(kind, name), **source}
            self._own[(kind, name)] = volume
        elif {**source, "name": volume["name"]} != volume:
            raise InputError(f"kubernetes.{place}: volume {name!r} is declared twice, and differently")
        self._own_mounts.append({"name": volume["name"], "mountPath": _path(config.get("mountPath", ""), place)})

    def _given_name(self, config: Mapping[str, Any], place: str) -> str:
        if not config.get("volumeName"):
            raise InputError(f"kubernetes.{place}.volumeName: the volume has no name")
        return str(config["volumeName"])

    def _name(self, kind: str, name: str) -> str:
        """`name` itself when it can be the name of a volume and no other has it."""
        label = _NO_LABEL.sub("-", name.lower()).strip("-")
        taken = {volume["name"] for group in (self._shared, self._own) for volume in group.values()}
        reserved = label == WORKSPACE or label.startswith(("penstock", "oci-"))
        if label != name or len(label) > 63 or label in taken or reserved:
            digest = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()[:8]
            label = f"{'volume-' if reserved or not label else ''}{label[:40]}".strip("-") + f"-{digest}"
        self._by_given_name.setdefault(name, label)
        return label


def _path(path: str, place: str) -> str:
    if not path:
        raise InputError(f"kubernetes.{place}.mountPath: where is it to be mounted?")
    if ":" in path or "\0" in path:
        raise InputError(f"kubernetes.{place}.mountPath: {path!r} must not hold a colon")
    return "/" + "/".join(part for part in path.split("/") if part)
