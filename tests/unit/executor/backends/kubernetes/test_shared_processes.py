"""A Pod whose containers see each other's processes: the agent's environment, with its credentials, stays its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_ir.artifact import Artifact

from tests.support.pods import agent_of, launch, pod
from tools.testing.pod_settings import POLICY

MODEL = {"model": [Artifact("m", "system.Model", "oci://registry/team/model:1")]}
SHARED = {"spec": {"shareProcessNamespace": True}}
IMAGE_USER = NamespacePolicy(security="image-user")


def made(policy: NamespacePolicy = POLICY, *argv: str, **platform: Any) -> dict[str, Any]:
    """With an agent, a model, and a sidecar of the pipeline."""
    sidecar = {"name": "side", "image": "x", "restartPolicy": "Always"}
    settings = {"initContainers": [sidecar], **platform}
    return pod(launch(*argv, artifacts={"m": "system.Model"}, reads=MODEL, kubernetes=settings), policy=policy)


def ids(found: Mapping[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    """User and primary group by container, None for what its image decides."""
    of_pod = found["spec"]["securityContext"]
    containers = [*found["spec"]["containers"], *found["spec"]["initContainers"]]
    return {
        one["name"]: (
            one["securityContext"].get("runAsUser", of_pod.get("runAsUser")),
            one["securityContext"].get("runAsGroup", of_pod.get("runAsGroup")),
        )
        for one in containers
    }


@pytest.mark.parametrize("argv", [("true",), ()])
@pytest.mark.parametrize("policy", [POLICY, IMAGE_USER])
def test_nobody_shares_the_agents_group(policy: NamespacePolicy, argv: tuple[str, ...]) -> None:
    found = made(policy, *argv)
    groups = {name: group for name, (_, group) in ids(found).items()}
    agent = groups.pop("agent")
    assert set(groups) >= {"main", "side", "oci-prepull-0", "oci-0"}
    assert agent and set(groups.values()) == {0}, "neither the agent's nor one that an image chooses"
    # Files are written as before.
    assert ids(found)["agent"][0] == 1000 and found["spec"]["securityContext"]["supplementalGroups"] == [0]


def test_a_pipeline_cannot_ask_for_the_agents_group() -> None:
    group = ids(made())["agent"][1]
    with pytest.raises(PodSpecError, match=f"the group {group} is the agent's; name another group"):
        made(POLICY, "true", securityContext={"runAsUser": 1000, "runAsGroup": group})


def test_a_template_that_shares_processes_counts_too() -> None:
    task = launch("true", artifacts={"m": "system.Model"})
    for spec in (SHARED["spec"], {"hostPID": True}):
        agent = agent_of(pod(task, policy=NamespacePolicy(pod_template={"spec": spec})))
        assert agent["securityContext"]["runAsGroup"] not in (0, None)


def test_other_pods_are_as_they_were() -> None:
    found = pod(launch("true", artifacts={"m": "system.Model"}))
    assert agent_of(found)["securityContext"]["runAsGroup"] == 0
    assert "supplementalGroups" not in found["spec"]["securityContext"]


LOOK = """
for name in environ maps mem auxv; do head -c 1 /proc/$1/$name >/dev/null 2>&1 && echo $name; done
for name in root cwd exe fd/0; do readlink /proc/$1/$name >/dev/null 2>&1 && echo $name; done
true
"""


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the agent's ids of a Pod."""
    user, group = request.param
    process = subprocess.Popen(
        ["sleep", "60"], env={"PATH": os.defpath, "AWS_SECRET_ACCESS_KEY": "hush"}, cwd="/", user=user, group=group,
        extra_groups=[0],
    )  # fmt: skip
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}/comm").read_text().strip() != "sleep" and time.monotonic() < deadline:
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of other users")
@pytest.mark.parametrize(
    ("agent", "seen"),
    [(ids(made())["agent"], False), (ids(made())["main"], True)],
    indirect=["agent"],
    ids=["as the agent", "as the task itself"],
)
def test_what_linux_shows_a_task_of_another_process(agent: subprocess.Popen[bytes], seen: bool) -> None:
    user, group = ids(made())["main"]
    looked = subprocess.run(
        ["sh", "-c", LOOK, "sh", str(agent.pid)], cwd="/", user=user, group=group, extra_groups=[], capture_output=True,
        check=True,
    )  # fmt: skip
    assert bool(looked.stdout.split()) is seen, looked.stdout
