"""Tasks, and the Pods they are to become: the plainest Pod whole, others as what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.engine.names import attempt_id
from penstock_ir.artifact import Artifact
from penstock_ir.model import ArtifactDefinition, ParameterType

from tools.testing.pod_settings import POLICY, SETTINGS, Store

RUN = "4d3a1f0e-0000-4000-8000-000000000001"
KEY = AttemptKey(RUN, "loop[2]/train", 1)
TOKEN = attempt_id(RUN, "loop[2]/train", 1)
ROOT = f"s3://bucket/root/pipeline/{RUN}/train/{TOKEN}"
LOCAL_ROOT = f"/s3/bucket/root/pipeline/{RUN}/train/{TOKEN}"


def launch(
    *command: str,
    args: Sequence[str] = (),
    outputs: Sequence[str] = (),
    artifacts: Mapping[str, str] | None = None,
    reads: Mapping[str, Sequence[Artifact]] | None = None,
    **fields: Any,
) -> TaskLaunch:
    """A task in namespace `team`. `artifacts`: output ports to schema titles, `reads`: input ports to artifacts."""
    root = fields.get("task_root", ROOT)
    given: dict[str, Any] = {
        "key": KEY,
        "task_name": "train",
        "pipeline_name": "pipeline",
        "image": "python:3.11",
        "command": command,
        "args": tuple(args),
        "env": (),
        "task_root": root,
        "inputs": {},
        "defaults": {},
        "input_artifacts": {port: tuple(many) for port, many in (reads or {}).items()},
        "input_artifact_definitions": {},
        "output_parameters": dict.fromkeys(outputs, ParameterType.STRING),
        "output_artifacts": {
            port: OutputArtifact(Artifact(port, title, f"{root}/{port}"), ArtifactDefinition(title))
            for port, title in (artifacts or {}).items()
        },
        "namespace": "team",
        "run_display_name": "My run",
        "run_resource_name": "my-run",
        "pod_name": "my-run-train-0123456789abcdef",
    }
    return TaskLaunch(**{**given, **fields})


def compiled(packages: str) -> TaskLaunch:
    """A component as the SDK compiles it; `packages` is what stands behind `pip install`."""
    source = "import kfp\n\ndef f():\n    pass\n"
    install = f'\nif ! [ -x "$(command -v pip)" ]; then\n    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\nPIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --no-warn-script-location {packages} && "$0" "$@"\n'  # noqa: E501
    runs = 'program_path=$(mktemp -d)\n\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main                         --component_module_path                         "$program_path/ephemeral_component.py"                         "$@"\n'  # noqa: E501
    words = ("sh", "-c", install, "sh", "-ec", runs, source)
    return launch(*words, args=("--executor_input", "{}", "--function_to_execute", "f"))


def pod(task: TaskLaunch, settings: PodSettings = SETTINGS, policy: NamespacePolicy = POLICY) -> dict[str, Any]:
    return make_pod(task, settings, policy, Store())


def main_of(made: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["containers"][0]
    assert found["name"] == "main"
    return found


def agent_of(made: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = (one for one in made["spec"]["containers"] if one["name"] == "agent")
    assert isinstance(found, dict)
    return found


def scratch(path: str, part: str) -> dict[str, Any]:
    return {"name": f"penstock-at-{part}", "mountPath": path}


HOMES = [scratch("/.local", "local"), scratch("/.cache", "cache"), scratch("/.config", "config")]
SCRATCH = [scratch("/tmp/kfp", "kfp")]
WRAPPER = {"name": "penstock-wrapper", "mountPath": "/penstock/bin", "readOnly": True}
HARDENED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
OUR_ENV = [
    {"name": "KFP_POD_NAME", "value": "my-run-train-0123456789abcdef"},
    {"name": "KFP_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    {"name": "KFP_RETRY_INDEX", "value": "0"},
]


def plain_pod(*argv: str, parameters: Sequence[str] = ()) -> dict[str, Any]:
    """The whole Pod of a task that moves nothing and is told nothing of its root."""
    written = [text for name in parameters for text in ("--parameter", f"{name}=/tmp/kfp/outputs/{name}")]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "my-run-train-0123456789abcdef",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/managed-by": "penstock",
                "penstock.dev/instance": "here",
                "pipeline/runid": RUN,
                "pipelines.kubeflow.org/v2_component": "true",
            },
            "annotations": {
                "sidecar.istio.io/inject": "false",
                "pipelines.kubeflow.org/run_name": "My run",
                "penstock.dev/path": "loop[2]/train",
                "penstock.dev/attempt": "1",
                "penstock.dev/log": f"{ROOT}/executor-logs",
                "eks.amazonaws.com/skip-containers": "main",
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "fsGroup": 0,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 0,
            },
            "containers": [
                {
                    "name": "main",
                    "image": "python:3.11",
                    "command": [
                        "/penstock/bin/run",
                        *("--mkdir", "/tmp/kfp/outputs", "--home", "/tmp/kfp/.home"),
                        *written,
                        *("--count", "--message", "/dev/termination-log", "--token", TOKEN, "--"),
                        *argv,
                    ],
                    "env": OUR_ENV,
                    "volumeMounts": [*SCRATCH, WRAPPER],
                    "securityContext": {**HARDENED, "runAsNonRoot": True},
                }
            ],
            "volumes": [
                *({"name": mount["name"], "emptyDir": {}} for mount in SCRATCH),
                {
                    "name": "penstock-wrapper",
                    "configMap": {
                        "name": "penstock-run-abc",
                        "defaultMode": 0o555,
                        "items": [{"key": "run-amd64", "path": "run"}],
                    },
                },
            ],
        },
    }
