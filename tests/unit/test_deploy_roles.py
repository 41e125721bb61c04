"""The ClusterRoles of deploy/: what they allow is what the server's own roles allow, for every call there is.

Why: with `--authorization kubernetes` the cluster decides by these, with `roles` the server by its table; a team that
moves from one to the other may do the same before and after.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock_server.access.roles import least_role
from penstock_server.access.rules import RULES, Check
from penstock_server.domain.caller import Role

COMPONENTS = Path(__file__).resolve().parents[2] / "deploy/kustomize/components"
COMPONENT = COMPONENTS / "multi-user"
TASKS = COMPONENTS.parent / "tasks"
PREFIX = "rbac.authorization.kubeflow.org/aggregate-to-"
CHECKS = sorted(
    {(one.group, one.resource, one.verb) for rule in RULES.values() if isinstance(rule, tuple) for one in rule}
)


def _documents(file: str, component: Path = COMPONENT) -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((component / file).read_text())
    return {f"{one['kind']} {one['metadata']['name']}": one for one in documents}


ROLES = _documents("cluster-roles.yaml")


def _allowed(name: str) -> set[tuple[str, str, str]]:
    """Group, resource and verb of all that a role allows, those that it collects by labels included."""
    role = ROLES[f"ClusterRole {name}"]
    found = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    for selector in role.get("aggregationRule", {}).get("clusterRoleSelectors", ()):
        for other in ROLES.values():
            labels = other["metadata"]["labels"]
            if other is not role and selector["matchLabels"].items() <= labels.items():
                found |= _allowed(other["metadata"]["name"])
    return found


VIEW, EDIT = _allowed("kubeflow-pipelines-view"), _allowed("kubeflow-pipelines-edit")


def test_calls_are_checked() -> None:
    assert len(CHECKS) > 20
    assert isinstance(next(rule for rule in RULES.values() if isinstance(rule, tuple))[0], Check)


@pytest.mark.parametrize("wanted", CHECKS, ids=" ".join)
def test_a_right_is_in_the_role_that_has_it_in_the_server(wanted: tuple[str, str, str]) -> None:
    _, resource, verb = wanted
    role = least_role(resource, verb)
    assert (wanted in VIEW) is (role is Role.VIEWER)
    assert (wanted in EDIT) is (role in (Role.VIEWER, Role.EDITOR))


def test_editors_may_all_that_viewers_may() -> None:
    assert VIEW
    assert VIEW < EDIT


def test_a_role_that_collects_has_no_rules_of_its_own() -> None:
    """Kubernetes overwrites them."""
    for role in ROLES.values():
        assert bool(role["rules"]) is not ("aggregationRule" in role)


def test_kubeflows_own_roles_collect_them() -> None:
    for name, into in (("edit", "kubeflow-edit"), ("view", "kubeflow-view")):
        labels = ROLES[f"ClusterRole kubeflow-pipelines-{name}"]["metadata"]["labels"]
        assert labels[f"{PREFIX}{into}"] == "true"


def test_no_role_allows_everything() -> None:
    assert "*" not in (COMPONENT / "cluster-roles.yaml").read_text()


def test_the_component_lets_the_server_ask_what_users_may_and_nothing_else() -> None:
    documents = _documents("reviews.yaml")
    (rule,) = documents["ClusterRole penstock-server-access-reviews"]["rules"]
    assert rule == {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}
    (subject,) = documents["ClusterRoleBinding penstock-server-access-reviews"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "penstock-server", "namespace": "penstock"}


def test_programs_in_containers_are_a_right_of_its_own() -> None:
    """It is given in a namespace, by hand, and to the executor alone; no overlay has it."""
    documents = _documents("warm-workers.yaml", TASKS)
    assert sorted(documents) == ["Role penstock-executor-workers", "RoleBinding penstock-executor-workers"]
    (rule,) = documents["Role penstock-executor-workers"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]}
    binding = documents["RoleBinding penstock-executor-workers"]
    assert binding["roleRef"]["kind"] == "Role" and binding["roleRef"]["name"] == "penstock-executor-workers"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "penstock-executor", "namespace": "penstock"}]
    having = [file for file in TASKS.parent.rglob("*.yaml") if "pods/exec" in file.read_text()]
    assert having == [TASKS / "warm-workers.yaml"]
    assert not [file for file in TASKS.parent.rglob("kustomization.yaml") if "warm-workers" in file.read_text()]


def test_what_the_server_may_read_of_a_namespaces_stores_is_named() -> None:
    """In the namespace that has the component, not in the cluster; nothing is listed."""
    documents = _documents("access.yaml", COMPONENTS / "namespace-stores")
    assert sorted(documents) == ["Role penstock-server-stores", "RoleBinding penstock-server-stores"]
    rules = documents["Role penstock-server-stores"]["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [(["configmaps"], ["get"]), (["secrets"], ["get"])]
    assert rules[0]["resourceNames"] == ["kfp-launcher"]
    assert all(rule["resourceNames"] for rule in rules)
    (subject,) = documents["RoleBinding penstock-server-stores"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "penstock-server", "namespace": "penstock"}
