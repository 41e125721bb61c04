"""The topological order and the cycles of a task graph, without recursion.

Invariant: ties in the topological order are broken by name, so equal graphs give equal orders.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Set


def topological_order(edges: Mapping[str, Set[str]]) -> list[str]:
    """Names such that dependencies come first. `edges` maps a name to what it depends on and has no cycle."""
    waiting = {name: len(dependencies) for name, dependencies in edges.items()}
    dependents: dict[str, list[str]] = {name: [] for name in edges}
    for name, dependencies in edges.items():
        for dependency in dependencies:
            dependents[dependency].append(name)
    ready = [name for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for dependent in dependents[name]:
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                heapq.heappush(ready, dependent)
    return order


def find_cycle(edges: Mapping[str, Set[str]]) -> list[str]:
    """The members of one cycle, first one repeated at the end; empty when there is none."""
    cyclic = {name: set(dependencies) for name, dependencies in edges.items()}
    for name in topological_order(edges):
        del cyclic[name]
    if not cyclic:
        return []
    # Each of these depends on another of them, so following dependencies leads into a cycle.
    seen: dict[str, int] = {}
    walk: list[str] = []
    name = min(cyclic)
    while name not in seen:
        seen[name] = len(walk)
        walk.append(name)
        name = min(dependency for dependency in cyclic[name] if dependency in cyclic)
    return [*walk[seen[name] :], name]
