"""What a task's Kubernetes settings mean in this run (executor.md §4): names from other tasks and from the pipeline's
inputs put in, everything as Kubernetes writes it.

Why here: a value may come from any task beside this one, which the engine alone knows. Nothing is asked of a cluster,
so every backend gets the same.

The result is plain JSON; a key is there when the task asked for it:

    env                                  EnvVars with `valueFrom`, in the order in which they are to be set
    volumes, volumeMounts                of Secrets, ConfigMaps, claims and the run's workspace
    ownVolumes, ownVolumeMounts          of the Pod alone: emptyDirs, shared memory, ephemeral claims
    nodeSelector, tolerations, affinity, initContainers   as in a PodSpec
    labels, annotations                  of the Pod
    imagePullSecrets                     names
    imagePullPolicy, activeDeadlineSeconds, securityContext   of `main`, of the Pod, of `main`
    workspace                            `claimName` and `spec` of the claim that is the run's workspace, when the task
                                         uses it

Invariants: pure; a value that is null leaves its entry out, but for a claim, which is an error; every error is an
InputError that names the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_ir.errors import ExpressionError
from penstock_ir.expressions import compile_selector
from penstock_ir.model import JsonValue, Missing
from penstock_ir.parameters import describe, value_text
from penstock_ir.placeholders import parameter_name, resolve_value
from penstock_ir.platform_values import claim_source, constant_of
from penstock_ir.slots import POOL, SLOTS
from penstock_ir.worker_sharing import WORKERS

from penstock_executor.engine.inputs import InputError, run_property
from penstock_executor.engine.kubernetes.scheduling import affinity_of, tolerations_of
from penstock_executor.engine.kubernetes.volumes import Volumes
from penstock_executor.engine.kubernetes.workspace import workspace_of
from penstock_executor.engine.state import ContainerNode, LoopNode, RunContext

Json = dict[str, Any]

_PULL_POLICIES = ("Always", "Never", "IfNotPresent")
_RESERVED_CONTAINERS = ("main", "kfp-launcher", "agent")


def resolve_platform(node: ContainerNode, context: RunContext) -> dict[str, JsonValue]:
    """Raises InputError."""
    assert node.task is not None
    config = node.task.component.kubernetes
    workspace = workspace_of(node, context)
    if not config and workspace is None:
        return {}
    resolver = _Resolver(node, context)
    volumes = Volumes()
    found: Json = {"env": _env(config, resolver)}
    if workspace is not None:
        found["workspace"] = workspace
        volumes.workspace(workspace["claimName"], context.workspace_path)
    _mounts(config, resolver, volumes)
    found.update(volumes.document())
    found["nodeSelector"] = _node_selector(config.get("nodeSelector") or {}, resolver)
    found["tolerations"] = tolerations_of(config.get("tolerations") or (), resolver.value)
    found["affinity"] = affinity_of(config.get("nodeAffinity") or (), config.get("podAffinity") or (), resolver.value)
    metadata = config.get("podMetadata") or {}
    assert isinstance(metadata, dict)
    found["labels"] = metadata.get("labels")
    # What asks for slots or workers is for Penstock alone, so no namespace's policy for Pods has to allow it.
    annotations: Any = metadata.get("annotations") or {}
    found["annotations"] = {key: value for key, value in annotations.items() if key not in (POOL, SLOTS, WORKERS)}
    secrets = (
        resolver.name(one, "secretName", f"imagePullSecret[{index}]")
        for index, one in _entries(config, "imagePullSecret")
    )
    found["imagePullSecrets"] = [one for one in secrets if one is not None]
    policy = config.get("imagePullPolicy")
    if policy and policy not in _PULL_POLICIES:
        raise InputError(f"kubernetes.imagePullPolicy: {policy!r} is none of {', '.join(_PULL_POLICIES)}")
    found["imagePullPolicy"] = policy
    found["activeDeadlineSeconds"] = max(0, _integer(config.get("activeDeadlineSeconds", 0), "activeDeadlineSeconds"))
    found["securityContext"] = _security_context(config.get("securityContext") or {})
    found["initContainers"] = _init_containers(config, volumes)
    return {key: value for key, value in found.items() if value}


def claim_names(platform: Mapping[str, JsonValue]) -> list[str]:
    """The claims a task mounts: part of its cache key."""
    volumes: Any = platform.get("volumes") or ()
    return [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one]


class _Resolver:
    """Values of InputParameterSpecs in the DAG around the task."""

    def __init__(self, node: ContainerNode, context: RunContext) -> None:
        self._node = node
        self._context = context

    def value(self, spec: Mapping[str, Any], place: str) -> JsonValue:
        """None for null. Raises InputError."""
        if "componentInputParameter" in spec:
            value = self._component_input(spec["componentInputParameter"], place)
        elif "taskOutputParameter" in spec:
            value = self._task_output(spec["taskOutputParameter"], place)
        elif "runtimeValue" in spec and "runtimeParameter" not in spec["runtimeValue"]:
            value = self._constant(spec)
        else:
            kind = next(iter(spec), "nothing")
            raise InputError(f"kubernetes.{place}: a value of the kind {kind!r} is not supported here")
        selector = spec.get("parameterExpressionSelector")
        if not selector:
            return value
        try:
            return compile_selector(selector).select(value)
        except ExpressionError as error:
            raise InputError(f"kubernetes.{place}: {selector}: {error}") from error

    def name(self, entry: Mapping[str, Any], field: str, place: str) -> str | None:
        """A name given as `<field>Parameter` or as a plain `<field>`; None for null."""
        spec = entry.get(f"{field}Parameter")
        value = self.value(spec, f"{place}.{field}Parameter") if spec is not None else entry.get(field, "")
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise InputError(f"kubernetes.{place}.{field}: expected a name, got {describe(value)}")
        return value

    def claim(self, entry: Mapping[str, Any], place: str) -> str:
        """The claim of a pvcMount."""
        value = self.value(claim_source(entry), f"{place}.pvcNameParameter")
        if value is None:
            raise InputError(f"kubernetes.{place}: the name of the claim is null; a claim cannot be left out")
        if not isinstance(value, str) or not value:
            raise InputError(f"kubernetes.{place}: expected the name of a claim, got {describe(value)}")
        return value

    def _component_input(self, name: str, place: str) -> JsonValue:
        parent = self._node.parent
        inputs = self._node.inputs if isinstance(parent, LoopNode) else parent.inputs if parent else {}
        if name not in inputs:
            raise InputError(f"kubernetes.{place}: the enclosing pipeline has no input {name!r}")
        return inputs[name]

    def _task_output(self, source: Mapping[str, Any], place: str) -> JsonValue:
        producer, key = source.get("producerTask", ""), source.get("outputParameterKey", "")
        parent = self._node.parent
        dag = parent.parent if isinstance(parent, LoopNode) else parent
        assert dag is not None and not isinstance(dag, LoopNode)
        child = dag.child(producer) if producer in dag.dag.index else None
        value = child.outputs.parameters.get(key, Missing.MISSING) if child else Missing.MISSING
        if isinstance(value, Missing):
            state = child.state.value.lower() if child else "not run"
            raise InputError(f"kubernetes.{place}: task {producer!r} ({state}) has no output {key!r}")
        return value

    def _constant(self, spec: Mapping[str, Any]) -> JsonValue:
        task = self._node.task
        assert task is not None
        inputs = self._node.inputs

        def lookup(expression: str) -> str | None:
            name = parameter_name(expression)
            if name is not None:
                return value_text(inputs[name]) if name in inputs else None
            return run_property(expression, self._context, task.name, self._node.path)

        return resolve_value(constant_of(spec), lookup)


def _entries(config: Mapping[str, Any], field: str) -> enumerate[Any]:
    return enumerate(config.get(field) or ())


def _env(config: Mapping[str, Any], resolver: _Resolver) -> list[Json]:
    """Secrets, ConfigMaps, fields, in upstream's order (executor.md §2.8)."""
    found: list[Json] = []
    for field, source, name_field, key_field, reference in (
        ("secretAsEnv", "Secret", "secretName", "secretKey", "secretKeyRef"),
        ("configMapAsEnv", "ConfigMap", "configMapName", "configMapKey", "configMapKeyRef"),
    ):
        for index, one in _entries(config, field):
            place = f"{field}[{index}]"
            name = resolver.name(one, name_field, place)
            if name is None:
                continue
            optional = {"optional": one["optional"]} if "optional" in one else {}
            for pair in one.get("keyToEnv") or ():
                key, variable = pair.get(key_field), pair.get("envVar")
                if not key or not variable:
                    raise InputError(f"kubernetes.{place}.keyToEnv: a key of the {source} and a variable are needed")
                found.append({"name": variable, "valueFrom": {reference: {"name": name, "key": key, **optional}}})
    for index, one in _entries(config, "fieldPathAsEnv"):
        if not one.get("name") or not one.get("fieldPath"):
            raise InputError(f"kubernetes.fieldPathAsEnv[{index}]: a name and a field path are needed")
        found.append({"name": one["name"], "valueFrom": {"fieldRef": {"fieldPath": one["fieldPath"]}}})
    return found


def _mounts(config: Mapping[str, Any], resolver: _Resolver, volumes: Volumes) -> None:
    for field, name_field in (("secretAsVolume", "secretName"), ("configMapAsVolume", "configMapName")):
        for index, one in _entries(config, field):
            place = f"{field}[{index}]"
            name = resolver.name(one, name_field, place)
            if name is not None:
                volumes.named(field, name, one.get("mountPath", ""), optional=bool(one.get("optional")), place=place)
    for index, one in _entries(config, "pvcMount"):
        place = f"pvcMount[{index}]"
        volumes.claim(resolver.claim(one, place), one.get("mountPath", ""), one.get("subPath", ""), place)
    for index, one in _entries(config, "genericEphemeralVolume"):
        volumes.ephemeral(one, f"genericEphemeralVolume[{index}]")
    for index, one in _entries(config, "emptyDirMounts"):
        volumes.empty_dir(one, f"emptyDirMounts[{index}]")
    if config.get("enabledSharedMemory") is not None:
        volumes.shared_memory(config["enabledSharedMemory"])


def _node_selector(config: Any, resolver: _Resolver) -> Json:
    labels: Any = config.get("labels") or {}
    if "nodeSelectorJson" in config:
        value = resolver.value(config["nodeSelectorJson"], "nodeSelector.nodeSelectorJson")
        if value is not None and not isinstance(value, dict):
            raise InputError(f"kubernetes.nodeSelector.nodeSelectorJson: expected an object, got {describe(value)}")
        labels = labels if value is None else value
    return {key: value_text(value) for key, value in labels.items()}


def _security_context(config: Any) -> Json:
    found: Json = {
        key: _integer(config[key], f"securityContext.{key}") for key in ("runAsUser", "runAsGroup") if key in config
    }
    if "runAsNonRoot" in config:
        found["runAsNonRoot"] = bool(config["runAsNonRoot"])
    return found


def _integer(value: Any, place: str) -> int:
    """64-bit integers are texts in protojson."""
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"kubernetes.{place}: expected a whole number, got {describe(value)}") from error


def _init_containers(config: Mapping[str, Any], volumes: Volumes) -> list[Json]:
    found: list[Json] = []
    taken = set(_RESERVED_CONTAINERS)
    for index, one in _entries(config, "initContainers"):
        place = f"kubernetes.initContainers[{index}]"
        name, policy = one.get("name", ""), one.get("restartPolicy", "")
        if not name or not one.get("image"):
            raise InputError(f"{place}: a name and an image are needed")
        if name in taken or name.startswith(("penstock-", "oci-")):
            raise InputError(f"{place}: the name {name!r} is taken; choose another")
        if policy and policy != "Always":
            raise InputError(f"{place}.restartPolicy: {policy!r} is not supported, only Always (a sidecar)")
        taken.add(name)
        container: Json = {"name": name, "image": one["image"]}
        if policy:
            container["restartPolicy"] = policy
        for key in ("command", "args"):
            if one.get(key):
                container[key] = list(one[key])
        if any(not entry.get("name") for entry in one.get("env") or ()):
            raise InputError(f"{place}.env: a variable has no name")
        if one.get("env"):
            container["env"] = [{"name": entry["name"], "value": entry.get("value", "")} for entry in one["env"]]
        if one.get("resources"):
            container["resources"] = one["resources"]
        mounts = [volumes.mount_of(mount, f"{place}.volumeMounts") for mount in one.get("volumeMounts") or ()]
        if mounts:
            container["volumeMounts"] = mounts
        found.append(container)
    return found
