"""docs/authorization.md: what every call needs, and what becomes of it for whom. Made from the rules and the protos.

Why also code: the test of the matrix (tests/integration/test_authorization_matrix.py) calls a live server as everybody
and compares with `outcome`, so what is written here was observed.

Example: python -m tools.authorization_table
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from penstock_server.access import rules
from penstock_server.access.roles import least_role
from penstock_server.access.rules import Check, Openness
from penstock_server.domain.caller import Role
from penstock_server.rpc.metadata_store import SERVICE as METADATA
from penstock_server.rpc.server import public_services

PAGE = Path(__file__).resolve().parents[1] / "docs" / "authorization.md"
CALLERS = ("nobody", "stranger", "viewer", "editor", "admin", "administrator")
"""Viewer, editor and admin have that role in the namespace; an administrator is admin in all of them."""
ALLOWED, DENIED, UNKNOWN = "yes", "no", "401"
_ROLES = {"viewer": Role.VIEWER, "editor": Role.EDITOR, "admin": Role.ADMIN, "administrator": Role.ADMIN}
_INSIGHT, _UPLOADS = "/penstock.v1.InsightService", "/penstock.v1.PipelineUploadService"
ROUTES = {
    f"{_INSIGHT}/ReadArtifact": (
        "GET /apis/penstock/v1/artifacts/{name}:download",
        "GET /apis/penstock/v1/artifacts/{name}:html",
    ),
    f"{_INSIGHT}/ReadObject": ("GET /artifacts/get", "GET /artifacts/{source}/{bucket}/{key}"),
    f"{_INSIGHT}/DescribePod": ("GET /k8s/pod", "GET /k8s/pod/events"),
    f"{_INSIGHT}/ReadLog": (
        *(
            f"GET /apis/{version}/runs/{{run_id}}/nodes/{{node_id}}/log"
            for version in ("v1alpha1", "v1beta1", "v2beta1")
        ),
        "GET /k8s/pod/logs",
    ),
    f"{_INSIGHT}/ReadEventLog": ("GET /apis/penstock/v1/runs/{run_id}/events",),
    "/penstock.v1.WatchService/WatchRun": ("GET /apis/penstock/v1/runs/{run_id}:watch",),
    "/penstock.v1.WatchService/WatchRuns": ("GET /apis/penstock/v1/runs:watch",),
    f"{_UPLOADS}/UploadPipeline": ("POST /apis/v1beta1/pipelines/upload", "POST /apis/v2beta1/pipelines/upload"),
    f"{_UPLOADS}/UploadPipelineVersion": (
        "POST /apis/v1beta1/pipelines/upload_version",
        "POST /apis/v2beta1/pipelines/upload_version",
    ),
}
"""HTTP routes that no annotation has, by the call that they come to. The test of the matrix asks the server for all."""
OPEN_ROUTES = (
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/apis/v1beta1/healthz",
    "/apis/v2beta1/healthz",
    "/system/cluster-name",
    "/system/project-id",
    "/visualizations/allowed",
)
"""What is read without credentials, besides the web UI's files and the pages of the log-in."""
_HEAD = f"""# Who may do what

What every call needs, and what becomes of it, where callers are asked who they are (`--auth`) and namespaces are kept
apart (`--multi-user`). Made by `make reference` from the server's rules; a test makes every call as everybody against a
live server, on SQLite and on PostgreSQL, and compares.

- *nobody* shows no credentials, or wrong ones: 401, UNAUTHENTICATED. Executors and the agents of tasks are nobody here:
  executors have a port and credentials of their own, where no method of this page but ML Metadata's is served, and
  agents have none. DispatchService, which executors call, is UNAVAILABLE to everybody on the public gRPC port, and
  unknown to the HTTP port (404).
- *stranger* is somebody without any role. *viewer*, *editor* and *admin* have that role in the namespace, an
  *administrator* is admin in all namespaces (`*`). Whoever has a role in one namespace is a stranger in the others.
- "no" is 403, PERMISSION_DENIED; only the HTTP routes of uploads answer 400 instead, as those of Kubeflow Pipelines.
- What does not exist is 404, NOT_FOUND, for everybody who was identified. A server may still know whose an object was
  that has been deleted; who has no right in that namespace is then refused with 403.
- Resource and verb are what a SubjectAccessReview asks for with `--authorization kubernetes`, in the group
  `pipelines.kubeflow.org` unless another is named; roles then are the cluster's.
- Shared pipelines belong to no namespace: everybody who was identified reads them, and who has the right in the
  server's own namespace (`POD_NAMESPACE`) changes them.
- What a call makes or lists has to be of one namespace: who may read a pipeline of another namespace still makes no run
  of it, but gets NOT_FOUND.
- What a service account may be used for is asked only when a run or schedule names one (`serviceaccounts`, `use`): the
  role admin, besides the right to create it.
- *any identified caller*: the call itself knows what its caller may. Users list and revoke their own tokens; those of
  others are NOT_FOUND, but for administrators. `AuthorizeV1` answers whether its caller has the right that it names,
  PERMISSION_DENIED if not.
- In single-user mode there is one namespace, the server's own.
- The health service (`grpc.health.v1.Health`) is open to all, reflection to every identified caller.
- Each HTTP route is one of these calls, below `/pipeline` as well. The others are open to all, and tell nothing of
  anybody's objects: the files of the web UI, the pages of the log-in,
  {", ".join(f"`{path}`" for path in OPEN_ROUTES[:5])},
  {", ".join(f"`{path}`" for path in OPEN_ROUTES[5:])}.
- A call that changes something leaves a line in the audit log, in the transaction of the change; a pipeline that is
  made together with a version has one for each. A call that fails leaves none, one that is refused a line with the
  reason. What an administrator writes into ML Metadata, a store of its own, has its line before it is done.

| call | route | needs | in | nobody | stranger | viewer | editor | admin | administrator |
|---|---|---|---|---|---|---|---|---|---|
"""


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    """Every RPC of the public port that has a descriptor of ours, by its full path."""
    for service in (*public_services(), METADATA):
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}", method


def outcome(path: str, caller: str) -> str:
    """What becomes of a call that names an object of the namespace, and no service account."""
    rule = rules.rule_of(path)
    if rule is Openness.PUBLIC:
        return ALLOWED
    if caller == "nobody":
        return UNKNOWN
    if isinstance(rule, Openness):
        return ALLOWED
    assert rule is not None
    return ALLOWED if all(_holds(check, caller) for check in rule if not check.only_if) else DENIED


def _holds(check: Check, caller: str) -> bool:
    if isinstance(check.place, rules.Filtered):
        return True
    role = _ROLES.get(caller)
    if role is None:
        return False
    if isinstance(check.place, rules.Everywhere) and caller != "administrator":
        return False
    return role.includes(least_role(check.resource, check.verb))


def page() -> str:
    rows = [_row(path, method) for path, method in methods()]
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(path: str, method: MethodDescriptor) -> list[str]:
    rule = rules.rule_of(path)
    assert rule is not None
    if isinstance(rule, Openness):
        needs, places = rule.value, ""
    else:
        needs = "; ".join(dict.fromkeys(f"{check.resource} {check.verb}" for check in rule))
        places = "; ".join(dict.fromkeys(_place(check.place) for check in rule))
    return [
        f"`{path.lstrip('/').replace('kubeflow.pipelines.backend.api.', '')}`",
        _routes(path, method),
        needs,
        places,
        *(outcome(path, caller) for caller in CALLERS),
    ]


def _routes(path: str, method: MethodDescriptor) -> str:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    annotated = (f"{verb.upper()} {getattr(rule, verb)}",) if verb else ()
    return ", ".join(f"`{route}`" for route in (*annotated, *ROUTES.get(path, ())))


def _place(place: rules.Place) -> str:
    if isinstance(place, rules.InField):
        return f"`{place.path}`"
    if isinstance(place, rules.OfObject):
        return f"the {place.kind.value.replace('_', ' ')}'s (`{place.path}`)"
    if isinstance(place, rules.OfListing):
        narrowed = (
            f"the {place.narrowed.kind.value.replace('_', ' ')}'s (`{place.narrowed.path}`) or "
            if place.narrowed
            else ""
        )
        return f"{narrowed}`{place.namespace}`"
    if isinstance(place, rules.OfReference):
        return f"that of `{place.path}`"
    if isinstance(place, rules.OfUri):
        return f"the run's in whose place `{place.path}` lies"
    if isinstance(place, rules.OfTask):
        return f"the run's (`{place.run}`) or the Pod's (`{place.node}`)"
    if isinstance(place, rules.Filtered):
        return "the reply holds what the caller may see (`runs get`)"
    return "all namespaces"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
