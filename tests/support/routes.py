"""Everything the gateway serves: its own routes and those of the annotations."""

from __future__ import annotations

from typing import Any

from google.api import annotations_pb2
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.rpc.server import public_services


def routes() -> list[tuple[str, str]]:
    """Verb and path, once for what is also below /pipeline."""
    found = set()
    nobody: Any = None
    for route in create_app(nobody, GatewaySettings()).router.routes():
        path = route.resource.canonical if route.resource else ""
        if route.method != "HEAD" and path != "/{path}" and not path.startswith("/pipeline"):
            found.add(("GET" if route.method == "*" else route.method, path))
    for service in public_services():
        for method in service.methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            verb = rule.WhichOneof("pattern")
            if verb:
                found.add((verb.upper(), getattr(rule, verb)))
    return sorted(found, key=lambda one: (one[1], one[0]))
