"""Pipelines of containers for a cluster: an image every test cluster has, commands, settings of kfp-kubernetes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tools.testing import specs

# Any image with a shell will do; a cluster without this name says which one to take.
IMAGE = os.environ.get("PENSTOCK_TEST_IMAGE", "docker.io/library/busybox:latest")


def shell(script: str, **settings: Any) -> dict[str, Any]:
    """A pipeline of one task `only` that runs a shell script; `settings` as for `container`."""
    return container(["sh", "-c", script], **settings)


def container(
    command: Sequence[str],
    *,
    image: str = IMAGE,
    kubernetes: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    retries: int = 0,
    **settings: Any,
) -> dict[str, Any]:
    """A pipeline of one task `only`; `kubernetes` is its KubernetesExecutorConfig, the rest as in `specs.container`."""
    spec = specs.container(command, **settings)
    return on_cluster(spec, image=image, kubernetes=kubernetes, resources=resources, retries=retries)


def chain(commands: Mapping[str, Sequence[str]], *, image: str = IMAGE, **settings: Any) -> dict[str, Any]:
    return on_cluster(specs.chain(commands, **settings), image=image)


def on_cluster(
    spec: dict[str, Any],
    *,
    image: str = IMAGE,
    kubernetes: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
    retries: int = 0,
) -> dict[str, Any]:
    """The pipeline and its platform document, with this image and these settings for every container."""
    executors = spec["deploymentSpec"]["executors"]
    for executor in executors.values():
        executor["container"]["image"] = image
        # An image that is there is not asked for again: what is measured here is not the registry.
        if resources:
            executor["container"]["resources"] = dict(resources)
    if retries:
        for task in spec["root"]["dag"]["tasks"].values():
            task["retryPolicy"] = {"maxRetryCount": retries, "backoffDuration": "0s"}
    settings = {"imagePullPolicy": "IfNotPresent", **(kubernetes or {})}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": dict.fromkeys(executors, settings)}}}}
    return {"pipeline_spec": spec, "platform_spec": platform}


def loop(size: int, *, image: str = IMAGE, command: Sequence[str] = ("true",)) -> dict[str, Any]:
    """A ParallelFor over so many numbers, one container each."""
    return on_cluster(specs.loop(size, command), image=image)


def if_else(*, image: str = IMAGE) -> dict[str, Any]:
    """Two branches of one task each; the first is taken."""
    spec = specs.chain({"yes": ["true"], "no": ["true"]}, name="if-else")
    tasks = spec["root"]["dag"]["tasks"]
    tasks["no"].pop("dependentTasks")
    tasks["yes"]["triggerPolicy"] = {"condition": "1 == 1"}
    tasks["no"]["triggerPolicy"] = {"condition": "1 == 2"}
    return on_cluster(spec, image=image)


def passing(
    text: str, *, seconds: float = 0.0, scripts: Callable[[str, str], str] = lambda path, work: work
) -> dict[str, Any]:
    """`make` leaves an artifact with this text, `use` has its content as the parameter `text`.

    `scripts(path, work)` is the shell script of a task that does this work.
    """
    making, using = f'sleep {seconds}; printf \'%s\' "$1" > "$0"', f'sleep {seconds}; cat "$0" > /tmp/kfp/outputs/text'
    make = ["sh", "-c", scripts("make", making), "{{$.outputs.artifacts['data'].path}}", text]
    use = ["sh", "-c", scripts("use", using), "{{$.inputs.artifacts['data'].path}}"]
    spec = specs.chain({"make": make, "use": use}, name="passing")
    data = {"artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}}
    spec["components"]["comp-make"]["outputDefinitions"] = data
    spec["components"]["comp-use"]["inputDefinitions"] = data
    spec["components"]["comp-use"]["outputDefinitions"] = {"parameters": {"text": {"parameterType": "STRING"}}}
    made = {"taskOutputArtifact": {"producerTask": "make", "outputArtifactKey": "data"}}
    spec["root"]["dag"]["tasks"]["use"]["inputs"] = {"artifacts": {"data": made}}
    return on_cluster(spec)
