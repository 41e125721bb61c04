"""The Pod template of a namespace, merged into a task's Pod.

Objects are merged, null deletes; lists of named things are merged by their names, mounts by their paths, and other
lists get what they do not have yet. The template wins.

Invariants: pure; the result still is the task's Pod: its identity, the user's command under the wrapper, the agent, our
volumes. A template that would change one of them is an error with its place.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from penstock_executor.backends.kubernetes.errors import PodSpecError

Json = dict[str, Any]

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
    "hostAliases": "ip",
}
_OURS = ("penstock", "PENSTOCK_", "KFP_")


def with_template(pod: Json, template: Mapping[str, Any]) -> Json:
    """A new Pod. Raises PodSpecError."""
    if not template:
        return pod
    merged: Json = _merged(pod, _for(pod, template), "podTemplate")
    before, after = _protected(pod), _protected(merged)
    for place in {**before, **after}:
        if before.get(place) != after.get(place):
            raise _error(f"{place} is Penstock's own and cannot be changed")
    return merged


def _for(pod: Json, template: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what is meant for an agent, when the Pod has none."""
    spec = template.get("spec") or {}
    there = {one["name"] for one in pod["spec"]["containers"]}
    wanted = spec.get("containers")
    if "agent" in there or not isinstance(wanted, list):
        return template
    left = [one for one in wanted if not isinstance(one, Mapping) or one.get("name") != "agent"]
    return {**template, "spec": {**spec, "containers": left}}


def _merged(value: Any, change: Any, place: str) -> Any:
    if isinstance(value, dict) and isinstance(change, Mapping):
        merged = dict(value)
        for key, part in change.items():
            if part is None:
                merged.pop(key, None)
            elif key in merged:
                merged[key] = _merged(merged[key], part, f"{place}.{key}")
            else:
                merged[key] = _without_nulls(part)
        return merged
    if isinstance(value, list) and isinstance(change, list):
        return _merged_list(value, change, place)
    if isinstance(value, (dict, list)) or isinstance(change, (Mapping, list)):
        raise _error(f"{place} is of another kind: expected {'an object' if isinstance(value, dict) else 'a list'}")
    return change


def _merged_list(value: list[Any], change: list[Any], place: str) -> list[Any]:
    key = _KEYS.get(place.rsplit(".", 1)[-1])
    if key is None:
        return [*value, *(_without_nulls(one) for one in change if one not in value)]
    found = {one[key]: one for one in value}
    for one in change:
        if not isinstance(one, Mapping) or not isinstance(one.get(key), str):
            raise _error(f"every entry of {place} needs a {key}")
        name = one[key]
        there = found.get(name)
        found[name] = _without_nulls(one) if there is None else _merged(there, one, f"{place}[{name}]")
    return list(found.values())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return copy.deepcopy(value)


def _protected(pod: Mapping[str, Any]) -> Json:
    """What a template may not change, by place."""
    metadata, spec = pod["metadata"], pod["spec"]
    found: Json = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "spec.restartPolicy": spec.get("restartPolicy"),
        # An ordinary container that nobody ends would keep the Pod for ever; a sidecar is an init container.
        "spec.containers": [one["name"] for one in spec["containers"]],
    }
    for kind in ("labels", "annotations"):
        for key, text in metadata[kind].items():
            if key.startswith(
                ("app.kubernetes.io/managed-by", "penstock.dev/", "pipeline/", "pipelines.kubeflow.org/")
            ):
                found[f"metadata.{kind}[{key}]"] = text
    for volume in spec["volumes"]:
        if volume["name"].startswith(_OURS):
            found[f"spec.volumes[{volume['name']}]"] = volume
    ours = [one for one in spec.get("initContainers") or () if one["name"].startswith(("agent", "penstock-", "oci-"))]
    for container in (*spec["containers"], *ours):
        place = f"spec.containers[{container['name']}]"
        found.update({f"{place}.{key}": container.get(key) for key in ("image", "command", "args", "restartPolicy")})
        for one in container.get("env") or ():
            if one["name"].startswith(_OURS):
                found[f"{place}.env[{one['name']}]"] = one
        for one in container.get("volumeMounts") or ():
            if one["name"].startswith(_OURS):
                found[f"{place}.volumeMounts[{one['mountPath']}]"] = one
    return found


def _error(text: str) -> PodSpecError:
    return PodSpecError(f"ConfigMap 'penstock' of the namespace: {text}")
