"""API discovery: versions and resources, as far as kubectl needs them; and field selectors.

Invariant: all of it follows from RESOURCES.
"""

from __future__ import annotations

import json
from typing import Any

from tools.sim_kube.objects import RESOURCES, Refusal
from tools.sim_kube.store import Stored

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "watch"]


def _documents() -> dict[str, bytes]:
    found: dict[str, Any] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0+sim", "platform": "linux/amd64"},
        "/healthz": "ok",
        "/readyz": "ok",
        "/livez": "ok",
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    }
    groups = sorted({(resource.group, resource.version) for resource in RESOURCES.values()})
    for group, version in groups:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        found[path] = {
            "kind": "APIResourceList",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": [
                {
                    "name": resource.plural,
                    "singularName": resource.kind.lower(),
                    "namespaced": resource.namespaced,
                    "kind": resource.kind,
                    "verbs": _VERBS,
                }
                for resource in RESOURCES.values()
                if resource.group == group
            ],
        }
    named = [
        {
            "name": group,
            "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
            "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
        }
        for group, version in groups
        if group
    ]
    found.update((f"/apis/{group['name']}", {"kind": "APIGroup", "apiVersion": "v1", **group}) for group in named)
    found["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}
    return {path: b"ok" if document == "ok" else json.dumps(document).encode() for path, document in found.items()}


DOCUMENTS = _documents()


def filtered(objects: list[Stored], selector: str) -> list[Stored]:
    """Those that a field selector of `=`, `==` and `!=` selects. Raises Refusal."""
    for part in filter(None, (part.strip() for part in selector.split(","))):
        path, operator, value = _split(part)
        equal = operator != "!="
        objects = [stored for stored in objects if (_field(stored, path) == value) is equal]
    return objects


def _split(part: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        path, found, value = part.partition(operator)
        if found:
            return path, operator, value
    raise Refusal(400, "BadRequest", f"invalid field selector: {part}")


def _field(stored: Stored, path: str) -> str:
    if path == "metadata.name":
        return stored.name
    value: Any = json.loads(stored.document())
    for key in path.split("."):
        value = value.get(key, "") if isinstance(value, dict) else ""
    return str(value)
