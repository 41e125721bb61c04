"""What it costs an executor to hear of Pods that are another executor's: CPU of one event of its watch, looked at alone
beside read in full, as all were before, and beside those of its own Pods, of which the first is looked at as well.

Needs no cluster: lines are those of a Pod of ours with what a real API server adds to it, handed to the mirror of a
namespace and from there to what counts Pods. Both are measured by turns, so that noise affects them alike.

Example: python -m tools.bench --only foreign_pods
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any
from unittest.mock import patch

from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.backends.kubernetes.capacity import Bounds, Capacity
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.view import PodGlance, PodView, glance_of, view_of
from penstock_kube import skimming
from penstock_kube.reflector import EventKind
from penstock_kube.skim import Skimmed, skim
from penstock_kube.skimming import SkimmingReflector
from penstock_store.config import StoreConfig

from tools.bench.result import Row, at_most
from tools.testing.pod_settings import POLICY, SETTINGS

_PODS, _ROUNDS = 500, 7
_RUN = "4d3a1f0e-0000-4000-8000-000000000001"
_AT = "2026-01-01T00:00:00Z"
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def measure() -> list[Row]:
    """Medians of the rounds, in microseconds of one event. A Pod has five."""
    lines = [line for number in range(_PODS) for line in _life(number)]
    before, read, looked = [], [], []
    for _ in range(_ROUNDS):
        before.append(_cost(lines, lambda line: None, lambda glance: None))
        read.append(_cost(lines, skim, lambda glance: None))
        looked.append(_cost(lines, skim, lambda glance: glance))
    return [
        Row("bytes of an event of a Pod", sum(map(len, lines)) / len(lines), "bytes"),
        Row("an event of a Pod, read without a look", median(before), "µs"),
        Row("an event of a Pod of its own", median(read), "µs"),
        Row("an event of a Pod of another executor, looked at", median(looked), "µs"),
        at_most("looked at / read without a look", median(looked) / median(before), "×", 0.6),
    ]


def _cost(
    lines: list[bytes], look: Callable[[bytes], Skimmed | None], choose: Callable[[PodGlance | None], PodGlance | None]
) -> float:
    capacity = Capacity(Bounds())

    def take(kind: EventKind, pod: PodView | PodGlance) -> None:
        (capacity.pod_gone if kind is EventKind.DELETED else capacity.pod_seen)(pod)

    nobody: Any = None
    reflector: SkimmingReflector[PodView, PodGlance] = SkimmingReflector(
        nobody,
        "",
        trim=view_of,
        on_event=take,
        skim=lambda one: choose(glance_of(one.metadata, one.status)),
        on_skimmed=take,
    )
    gc.collect()
    with patch.object(skimming, "skim", look):
        began = time.process_time()
        for line in lines:
            reflector._apply_line(line)  # noqa: SLF001 - what the watch calls with each line
        spent = time.process_time() - began
    assert not reflector.cache
    assert not capacity.taken
    return spent / len(lines) * 1e6


def _life(number: int) -> list[bytes]:
    """Made, given to a node, running, ended, removed."""
    task = _task(number)
    pod: dict[str, Any] = dict(make_pod(task, SETTINGS, POLICY, TaskStore(StoreConfig(), task), frozenset()))
    states = [
        ("ADDED", {"phase": "Pending", "qosClass": "BestEffort"}),
        ("MODIFIED", _status("Pending", {"waiting": {"reason": "ContainerCreating"}})),
        ("MODIFIED", _status("Running", {"running": {"startedAt": _AT}})),
        ("MODIFIED", _status("Succeeded", {"terminated": {"exitCode": 0, "startedAt": _AT, "finishedAt": _AT}})),
        ("DELETED", _status("Succeeded", {"terminated": {"exitCode": 0, "startedAt": _AT, "finishedAt": _AT}})),
    ]
    return [_line(pod, number, kind, 5 * number + step + 1, status) for step, (kind, status) in enumerate(states)]


def _line(pod: Mapping[str, Any], number: int, kind: str, version: int, status: Mapping[str, Any]) -> bytes:
    given = pod["metadata"]
    metadata = {
        "name": given["name"],
        "namespace": "team",
        "uid": f"{number:08x}-0000-4000-8000-000000000000",
        "resourceVersion": str(version),
        "creationTimestamp": _AT,
        **{name: given[name] for name in ("labels", "annotations") if name in given},
        "managedFields": [
            _written("penstock-executor", {"f:metadata": given, "f:spec": pod["spec"]}),
            _written("kubelet", {"f:status": status}),
        ],
    }
    whole = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": pod["spec"], "status": status}
    return json.dumps({"type": kind, "object": whole}, separators=(",", ":")).encode()


def _written(manager: str, document: Mapping[str, Any]) -> dict[str, Any]:
    fields = _fields(document)
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": _AT, "fieldsV1": fields}


def _fields(value: Any) -> dict[str, Any]:
    """As a server notes which fields somebody wrote: names without values."""
    if isinstance(value, Mapping):
        return {f"f:{name}".replace("f:f:", "f:"): _fields(one) for name, one in value.items()}
    named = [one for one in value if isinstance(one, Mapping) and "name" in one] if isinstance(value, list) else []
    return {f'k:{{"name":"{one["name"]}"}}': _fields(one) for one in named}


def _status(phase: str, state: Mapping[str, Any]) -> dict[str, Any]:
    conditions = [
        {"type": name, "status": "True", "lastProbeTime": None, "lastTransitionTime": _AT} for name in _CONDITIONS
    ]
    containers = [
        {
            "name": name, "state": state, "lastState": {}, "ready": phase == "Running", "restartCount": 0,
            "image": "python:3.11", "imageID": f"sha256:{64 * 'a'}", "containerID": f"containerd://{64 * 'b'}",
            "started": True,
        }
        for name in ("main", "agent")
    ]  # fmt: skip
    return {
        "phase": phase, "conditions": conditions, "hostIP": "10.0.0.1", "podIP": "10.1.1.1", "startTime": _AT,
        "containerStatuses": containers, "qosClass": "BestEffort",
    }  # fmt: skip


def _task(number: int) -> TaskLaunch:
    path = f"loop[{number}]/train"
    return TaskLaunch(
        key=AttemptKey(_RUN, path, 1),
        task_name="train",
        pipeline_name="pipeline",
        image="python:3.11",
        command=("train", "--number", str(number)),
        args=(),
        env=(("LEVEL", "info"),),
        task_root=f"s3://bucket/root/pipeline/{_RUN}/train/{number}",
        inputs={},
        defaults={},
        input_artifacts={},
        input_artifact_definitions={},
        output_parameters={},
        output_artifacts={},
        namespace="team",
        pipeline_root="s3://bucket/root",
        pod_name=f"my-run-train-{number}",
    )
