"""Rules of `make deploy-check` on objects that break them."""

from __future__ import annotations

from typing import Any

import pytest

from tools.deploy_check import problems

NAMESPACE = {
    "kind": "Namespace",
    "metadata": {"name": "here", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
CLOSED: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _policy(spec: dict[str, Any], namespace: str = "here") -> dict[str, Any]:
    return {"kind": "NetworkPolicy", "metadata": {"name": "one", "namespace": namespace}, "spec": spec}


def test_a_namespace_with_a_policy_that_denies_is_as_it_should_be() -> None:
    assert problems([NAMESPACE, _policy(CLOSED)], complete=False) == []


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [_policy(CLOSED, "elsewhere")],
        [_policy({**CLOSED, "policyTypes": ["Ingress"]})],
        [_policy({**CLOSED, "egress": [{}]})],
    ],
    ids=["none", "of another namespace", "one way alone", "with an exception"],
)
def test_a_namespace_without_a_policy_that_denies_is_told(policies: list[dict[str, Any]]) -> None:
    (line,) = problems([NAMESPACE, *policies], complete=False)
    assert line.startswith("Namespace here: no policy denies")


@pytest.mark.parametrize("rules", [[], [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]])
def test_a_right_in_the_whole_cluster_is_told_unless_its_component_brings_it(rules: list[dict[str, Any]]) -> None:
    role = {"kind": "ClusterRole", "metadata": {"name": "one"}, "rules": rules}
    assert len(problems([role], complete=False)) == 1
    assert problems([role], {"one"}, complete=False) == []
