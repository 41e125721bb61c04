"""Turns requests into stored objects and changes, like the registry of an API server.

Invariant: every refusal is a Refusal with the code, reason and words of a real server.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

from tools.sim_kube.clock import timestamp
from tools.sim_kube.outcome import CREATED, gated
from tools.sim_kube.store import Resource, Stored

RESOURCES = {
    (resource.group, resource.plural): resource
    for resource in (
        Resource("", "v1", "namespaces", "Namespace", False),
        Resource("", "v1", "nodes", "Node", False),
        Resource("", "v1", "pods", "Pod", True),
        Resource("", "v1", "configmaps", "ConfigMap", True),
        Resource("", "v1", "secrets", "Secret", True),
        Resource("", "v1", "serviceaccounts", "ServiceAccount", True),
        Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True),
        Resource("", "v1", "events", "Event", True),
        Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", False),
        Resource("coordination.k8s.io", "v1", "leases", "Lease", True),
        Resource("kueue.x-k8s.io", "v1beta2", "workloads", "Workload", True),
    )
}
PODS = RESOURCES["", "pods"]
NAMESPACES = RESOURCES["", "namespaces"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_TOP = frozenset(("kind", "apiVersion", "metadata", "status"))
_GIVEN = ("labels", "annotations", "ownerReferences", "finalizers")
_uids = itertools.count(1)

MANAGED_FIELDS = (
    ',"managedFields":[{"manager":"penstock-executor","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z",'
    '"fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},'
    + ",".join(f'"f:label-{number}":{{}}' for number in range(8))
    + '}},"f:spec":{"f:containers":{"k:{\\"name\\":\\"main\\"}":{".":{},'
    + ",".join(f'"f:field{number}":{{}}' for number in range(40))
    + "}}}}}]"
).encode()
"""Who wrote what, which real servers add to every object: a client has to read its bytes, so they belong here."""


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def not_found(resource: Resource, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{_qualified(resource)} "{name}" not found')


def already_exists(resource: Resource, name: str) -> Refusal:
    return Refusal(409, "AlreadyExists", f'{_qualified(resource)} "{name}" already exists')


def stored_from(resource: Resource, namespace: str, document: dict[str, Any]) -> Stored:
    """A new object as a server completes it. Raises Refusal."""
    if document.get("kind", resource.kind) != resource.kind:
        raise Refusal(
            400, "BadRequest", f"{document['kind']} in version {document.get('apiVersion')!r} cannot be handled"
        )
    given = document.get("metadata")
    if not isinstance(given, dict):
        raise Refusal(422, "Invalid", f'{resource.kind} "" is invalid: metadata.name: Required value')
    uid = f"{next(_uids):08x}-0000-4000-8000-000000000000"
    name = given.get("name") or (given["generateName"] + uid[3:8] if given.get("generateName") else "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(422, "Invalid", f'{resource.kind} "{name}" is invalid: metadata.name: Invalid value: "{name}"')
    if given.get("namespace", namespace) != namespace:
        raise Refusal(
            400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"
        )
    status = _complete(resource, document)
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata.update(uid=uid, generation=1, creationTimestamp=timestamp())
    metadata.update((key, given[key]) for key in _GIVEN if given.get(key))
    return _made(resource, namespace, metadata, document, status)


def patched(stored: Stored, patch: Mapping[str, Any], subresource: str = "", manager: str = "") -> Stored:
    """A merge patch applied, of the object or of its status. Identity and version stay. `manager` is who wrote it."""
    before = json.loads(stored.document())
    if subresource == "status":
        return stored._replace(status=_encode(_merged(before.get("status"), patch.get("status") or {})))
    document = _merged(before, patch)
    metadata = {
        key: value for key, value in document["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        metadata.pop(key, None)
    metadata.update({key: before["metadata"][key] for key in ("name", "uid", "creationTimestamp")})
    made = _made(stored.resource, stored.namespace, metadata, document, stored.status)
    others = [one for one in before["metadata"]["managedFields"][1:] if one["manager"] != manager]
    if manager:
        others.append({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": timestamp()})
    managers = b"".join(b"," + _encode(one) for one in others)
    return made._replace(metadata=made.metadata[:-1] + managers + b"]", deletion=stored.deletion)


def _made(
    resource: Resource, namespace: str, metadata: dict[str, Any], document: Mapping[str, Any], status: bytes
) -> Stored:
    rest = b"".join(b',"%b":%b' % (key.encode(), _encode(value)) for key, value in document.items() if key not in _TOP)
    return Stored(
        resource,
        namespace,
        metadata["name"],
        metadata["uid"],
        metadata.get("labels") or {},
        _encode(metadata)[:-1] + MANAGED_FIELDS,
        rest,
        status=status,
    )


def _complete(resource: Resource, document: dict[str, Any]) -> bytes:
    """Defaults, as far as anything depends on them; returns the first status."""
    if resource.kind == "Pod":
        spec = document.get("spec")
        if not isinstance(spec, dict) or not spec.get("containers"):
            raise Refusal(422, "Invalid", "Pod is invalid: spec.containers: Required value")
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        # Nothing but the spec may follow the metadata: a node's name is put at its end.
        for key in [key for key in document if key not in _TOP and key != "spec"]:
            del document[key]
        return gated(timestamp()) if spec.get("schedulingGates") else CREATED
    if resource.kind == "Secret":
        data = dict(document.get("data") or {})
        for key, value in (document.pop("stringData", None) or {}).items():
            data[key] = base64.b64encode(str(value).encode()).decode()
        document["data"] = data
        document.setdefault("type", "Opaque")
    if resource.kind == "PersistentVolumeClaim":
        return b'{"phase":"Bound"}'
    if resource.kind == "Namespace":
        return b'{"phase":"Active"}'
    return _encode(document["status"]) if document.get("status") else b""


def _merged(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key), value)
        else:
            result[key] = value
    return result


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _qualified(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural
