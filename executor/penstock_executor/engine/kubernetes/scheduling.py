"""Tolerations and affinity of a task's Kubernetes settings, as a PodSpec has them (executor.md §4).

Invariants: pure; terms accumulate in their order; what is null or empty is left out, what is of another kind is an
InputError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock_ir.model import JsonValue
from penstock_ir.parameters import describe

from penstock_executor.engine.inputs import InputError

Json = dict[str, Any]
Resolve = Callable[[Mapping[str, Any], str], JsonValue]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def tolerations_of(config: Any, resolve: Resolve) -> list[Json]:
    """Tolerations of a PodSpec; an input may give one or a list of them.

    Raises InputError, which names the place in the settings.
    """
    found: list[Json] = []
    for index, one in enumerate(config):
        place = f"tolerations[{index}]"
        if "tolerationJson" not in one:
            given: list[Any] = [one]
        else:
            value = resolve(one["tolerationJson"], f"{place}.tolerationJson")
            given = value if isinstance(value, list) else [] if value is None else [value]
        for toleration in given:
            if not isinstance(toleration, dict):
                raise InputError(
                    f"kubernetes.{place}.tolerationJson: expected a toleration or a list of them, got "
                    f"{describe(toleration)}"
                )
            written = _toleration(toleration, place)
            if written:
                found.append(written)
    return found


def affinity_of(node_terms: Any, pod_terms: Any, resolve: Resolve) -> Json:
    """The `affinity` of a PodSpec, of terms for nodes and terms for Pods; empty without any.

    Raises InputError, which names the place in the settings.
    """
    node: dict[str, list[Json]] = {_REQUIRED: [], _PREFERRED: []}
    for index, one in enumerate(node_terms):
        place = f"nodeAffinity[{index}]"
        if "nodeAffinityJson" in one:
            _merge_node_affinity(node, resolve(one["nodeAffinityJson"], f"{place}.nodeAffinityJson"), place)
        else:
            term = {key: _requirements(one[key]) for key in ("matchExpressions", "matchFields") if one.get(key)}
            if term and "weight" in one:
                node[_PREFERRED].append({"weight": one["weight"], "preference": term})
            elif term:
                node[_REQUIRED].append(term)
    affinity: Json = {}
    if node[_REQUIRED]:
        affinity["nodeAffinity"] = {_REQUIRED: {"nodeSelectorTerms": node[_REQUIRED]}}
    if node[_PREFERRED]:
        affinity.setdefault("nodeAffinity", {})[_PREFERRED] = node[_PREFERRED]
    for index, one in enumerate(pod_terms):
        kind = "podAntiAffinity" if one.get("anti") else "podAffinity"
        term = _pod_term(one, f"podAffinity[{index}]")
        strength, entry = (
            (_PREFERRED, {"weight": one["weight"], "podAffinityTerm": term}) if "weight" in one else (_REQUIRED, term)
        )
        affinity.setdefault(kind, {}).setdefault(strength, []).append(entry)
    return affinity


def _toleration(given: Mapping[str, Any], place: str) -> Json:
    seconds = given.get("tolerationSeconds", given.get("toleration_seconds"))
    found = {key: given[key] for key in ("key", "operator", "value", "effect") if given.get(key)}
    extra = set(given) - {"key", "operator", "value", "effect", "tolerationSeconds", "toleration_seconds"}
    if extra:
        raise InputError(f"kubernetes.{place}: a toleration has no field {sorted(extra)[0]!r}")
    if seconds is not None:
        try:
            found["tolerationSeconds"] = int(seconds)
        except (TypeError, ValueError) as error:
            raise InputError(f"kubernetes.{place}.tolerationSeconds: {describe(seconds)} is no number") from error
    return found


def _merge_node_affinity(node: dict[str, list[Json]], value: JsonValue, place: str) -> None:
    if not value and not isinstance(value, (str, bool, int, float)):
        return
    where = f"kubernetes.{place}.nodeAffinityJson"
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {describe(value)}")
    extra = set(value) - {_REQUIRED, _PREFERRED}
    if extra:
        raise InputError(f"{where}: a NodeAffinity has no field {sorted(extra)[0]!r}")
    required = value.get(_REQUIRED) or {}
    terms = required.get("nodeSelectorTerms") or [] if isinstance(required, dict) else None
    preferred = value.get(_PREFERRED) or []
    if not isinstance(terms, list) or not isinstance(preferred, list):
        raise InputError(f"{where}: nodeSelectorTerms and {_PREFERRED} are lists")
    for kind, many in ((_REQUIRED, terms), (_PREFERRED, preferred)):
        for term in many:
            if not isinstance(term, dict):
                raise InputError(f"{where}.{kind}: expected an object, got {describe(term)}")
            if term:
                node[kind].append(term)


def _pod_term(one: Mapping[str, Any], place: str) -> Json:
    if not one.get("topologyKey"):
        raise InputError(f"kubernetes.{place}.topologyKey: across what? For example kubernetes.io/hostname")
    term: Json = {"topologyKey": one["topologyKey"]}
    for field, labels, expressions in (
        ("labelSelector", "matchPodLabels", "matchPodExpressions"),
        ("namespaceSelector", "matchNamespaceLabels", "matchNamespaceExpressions"),
    ):
        selector: Json = {}
        if one.get(labels):
            selector["matchLabels"] = dict(one[labels])
        if one.get(expressions):
            selector["matchExpressions"] = _requirements(one[expressions])
        if selector:
            term[field] = selector
    if one.get("namespaces"):
        term["namespaces"] = list(one["namespaces"])
    return term


def _requirements(many: Sequence[Mapping[str, Any]]) -> list[Json]:
    return [{key: one[key] for key in ("key", "operator", "values") if one.get(key)} for one in many]
