"""What a task's settings say about nodes and about other Pods: what has a list of the namespace (`allowed`).

Invariant: pure, and bears any JSON: an author may give terms as a value of the run, which only the cluster checks. What
cannot be read is used under the name that only the pattern `*` allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Use = tuple[str, str, str]
"""Key of the list, name, and the field that has the name."""

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def scheduling_uses(platform: Mapping[str, Any], own_namespace: str) -> Iterator[Use]:
    """Taints by their key, labels of nodes by their key, other namespaces. `platform` is what the engine resolved."""
    for toleration in platform.get("tolerations") or ():
        given = toleration.get("key")
        key = given if isinstance(given, str) else ""
        yield "tolerations", key, f"kubernetes.tolerations{'' if key else ', one without a key'}"
    for key in platform.get("nodeSelector") or ():
        yield "nodeLabels", key, "kubernetes.nodeSelector"
    affinity = platform.get("affinity") or {}
    nodes = affinity.get("nodeAffinity") or {}
    for term in (nodes.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ():
        yield from _node_term(term)
    for entry in nodes.get(_PREFERRED) or ():
        yield from _node_term(entry.get("preference"))
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(kind) or {}
        for term in (*(pods.get(_REQUIRED) or ()), *(one["podAffinityTerm"] for one in pods.get(_PREFERRED) or ())):
            for namespace in term.get("namespaces") or ():
                if namespace != own_namespace:
                    yield "affinityNamespaces", namespace, "kubernetes.podAffinity.namespaces"
            if "namespaceSelector" in term:
                yield "affinityNamespaces", "", "kubernetes.podAffinity, namespaces chosen by their labels"


def _node_term(term: Any) -> Iterator[Use]:
    field = "kubernetes.nodeAffinity"
    for part in ("matchExpressions", "matchFields"):
        requirements = term.get(part) or () if isinstance(term, dict) else (None,)
        for one in requirements if isinstance(requirements, (list, tuple)) else (None,):
            key = one.get("key") if isinstance(one, dict) else None
            yield "nodeLabels", key if isinstance(key, str) else "", field
