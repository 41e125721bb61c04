"""The policy for the executor's Pods, on Pods that an executor makes: all of them pass, and no forbidden one does.

The expressions are evaluated by cel-python, without types; on a cluster: tests/kube/test_pod_policy.py.
"""

from __future__ import annotations

from typing import Any

import celpy
import celpy.adapter
import pytest
from penstock_executor.backends.kubernetes.own_names import OWN_SERVICE_ACCOUNTS
from penstock_ir.artifact import Artifact

from tests.support.kubernetes_settings import resolved
from tests.support.pod_policy import FORBIDDEN, documents, forbidden
from tests.support.pods import launch, pod

POLICY, BINDING = documents()
READS = {"d": [Artifact("d", "system.Dataset", "gs://lake/data")]}
SIDECAR = {"initContainers": [{"name": "beside", "image": "busybox:1.36", "restartPolicy": "Always"}]}
PODS = {
    "plain": pod(launch("true")),
    "agent": pod(launch("true", reads=READS, artifacts={"m": "system.Model"})),
    "entrypoint": pod(launch(args=["--x"], reads=READS, outputs=["a"])),
    "model": pod(launch("true", reads={"m": [Artifact("m", "system.Model", "oci://registry/model:1")]})),
    "init container": pod(launch("true", kubernetes=resolved(SIDECAR))),
    "account": pod(launch("true", service_account="team")),
}


def said(made: dict[str, Any]) -> list[str]:
    """What the policy says against a Pod."""
    environment = celpy.Environment()
    context = {"object": celpy.adapter.json_to_cel(made)}
    return [
        one["message"]
        for one in POLICY["spec"]["validations"]
        if not environment.program(environment.compile(one["expression"])).evaluate(context)
    ]


@pytest.mark.parametrize("name", PODS)
def test_a_tasks_pod_passes(name: str) -> None:
    assert said(PODS[name]) == []


@pytest.mark.parametrize("change", FORBIDDEN)
@pytest.mark.parametrize("name", PODS)
def test_what_no_task_has_is_refused(name: str, change: str) -> None:
    (message,) = said(forbidden(PODS[name], change))
    assert message.startswith(FORBIDDEN[change][1])


def test_every_rule_refuses_something() -> None:
    messages = [one["message"] for one in POLICY["spec"]["validations"]]
    assert all(any(message.startswith(words) for _, words in FORBIDDEN.values()) for message in messages)


@pytest.mark.parametrize(
    ("user", "holds"),
    [
        ("system:serviceaccount:penstock:penstock-executor", True),
        ("system:serviceaccount:penstock:penstock-server", False),
        ("system:serviceaccount:team:penstock-executor", False),
    ],
)
def test_it_is_about_the_executor_alone(user: str, holds: bool) -> None:
    (condition,) = POLICY["spec"]["matchConditions"]
    environment = celpy.Environment()
    context = {"request": celpy.adapter.json_to_cel({"userInfo": {"username": user}})}
    assert environment.program(environment.compile(condition["expression"])).evaluate(context) == holds


def test_it_denies_and_knows_the_installations_accounts() -> None:
    assert BINDING["spec"] == {"policyName": POLICY["metadata"]["name"], "validationActions": ["Deny"]}
    assert POLICY["spec"]["failurePolicy"] == "Fail"
    for account in OWN_SERVICE_ACCOUNTS:
        assert f"'{account}'" in POLICY["spec"]["validations"][-1]["expression"]
