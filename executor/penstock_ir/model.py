"""The typed form of a compiled pipeline (IR schema 2.1.0), the only one that the engine reads.

Why not protobuf messages: they are mutable and slow to read; from these frozen dataclasses the engine decides tens of
thousands of transitions a second. Field meanings: contract executor.md §1.

Invariants: a `Pipeline` is valid (every reference resolves, DAGs are acyclic); tasks of a `Dag` are in a topological
order, ties broken by name, so equal documents give equal plans. JSON numbers that are whole are Python ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Union

from penstock_ir.attempt_settings import NO_ATTEMPT_SETTINGS, AttemptSettings
from penstock_ir.slots import Demand
from penstock_ir.worker_sharing import AskedSharing

CREATE_CLAIM = "argostub/createpvc"
DELETE_CLAIM = "argostub/deletepvc"

JsonValue = Union[None, bool, int, float, str, list["JsonValue"], dict[str, "JsonValue"]]


class Missing(Enum):
    """Absent, as opposed to an explicit null (None)."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class ParameterType(str, Enum):
    """`ParameterType.ParameterTypeEnum` of the IR, by the names of its values."""

    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"
    TASK_CONFIG = "TASK_CONFIG"


class TriggerStrategy(str, Enum):
    """Whether a task runs when its dependencies have succeeded, or when they have ended in any state."""

    ALL_UPSTREAM_TASKS_SUCCEEDED = "ALL_UPSTREAM_TASKS_SUCCEEDED"
    ALL_UPSTREAM_TASKS_COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclass(frozen=True, slots=True)
class ParameterDefinition:
    """A declared input or output. `literals`: the only allowed values, if there are any."""

    type: ParameterType
    default: JsonValue | Missing = MISSING
    optional: bool = False
    literals: tuple[JsonValue, ...] = ()


@dataclass(frozen=True, slots=True)
class ArtifactDefinition:
    """`schema_title` such as `system.Dataset`; custom titles are accepted as they are."""

    schema_title: str
    schema_version: str = "0.0.1"
    is_list: bool = False
    optional: bool = False
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


# --- where an input comes from -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal. Strings inside may hold placeholders, resolved structurally and once (executor.md §1.10, §10.10)."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class ComponentInput:
    """An input of the DAG that contains the task."""

    name: str


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """An output of a sibling."""

    producer: str
    key: str


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """The final status of a sibling, for a task that runs after it has ended in any state."""

    producer: str


@dataclass(frozen=True, slots=True)
class ParameterInput:
    """Where the value comes from, and which part of it the task gets: all of it without a selector."""

    source: Constant | ComponentInput | TaskOutput | FinalStatus
    selector: str | None = None
    """CEL over one value (`parameterExpressionSelector`, executor.md §1.7)."""


@dataclass(frozen=True, slots=True)
class ArtifactInput:
    """Where the artifacts come from: there are no constant ones."""

    source: ComponentInput | TaskOutput


# --- loops, retries, caching ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParameterIterator:
    """Items are a literal list, or the name of an input of the loop task that holds a list or a JSON list as text."""

    item_input: str
    items: tuple[JsonValue, ...] | None = None
    items_input: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactIterator:
    """Items are the artifacts of the input `items_input`; each iteration gets one as `item_input`."""

    item_input: str
    items_input: str


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_retries` attempts beyond the first; delay = min(backoff * factor**n, max_delay). Times in seconds."""

    max_retries: int
    backoff: float = 0.0
    factor: float = 2.0
    max_delay: float = 3600.0


@dataclass(frozen=True, slots=True)
class CachingOptions:
    """With a `key` that is not empty the fingerprint consists of that and the component."""

    enabled: bool = False
    key: str = ""


# --- implementations -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerExecutor:
    """`resources` is the IR's `resources` object as camelCase JSON; strings in it may hold placeholders. `slots`: what
    it asks of pools. `workers`: how far it asks to share a worker. `gang`: its attempts over the iterations of a loop
    start together."""

    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    resources: Mapping[str, JsonValue] = field(default_factory=dict)
    slots: tuple[Demand, ...] = ()
    workers: AskedSharing = ""
    gang: bool = False


@dataclass(frozen=True, slots=True)
class ImporterExecutor:
    """`uri` is a constant text or the name of a component input (`uri_input`)."""

    schema_title: str
    schema_version: str = "0.0.1"
    uri: str | None = None
    uri_input: str | None = None
    reimport: bool = False
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    download_to_workspace: bool = False


@dataclass(frozen=True, slots=True)
class ParameterSelector:
    """An output of a task inside the DAG."""

    producer: str
    key: str


@dataclass(frozen=True, slots=True)
class DagParameterOutput:
    """One selector (`valueFromParameter`), or several: the first whose producer succeeded (`valueFromOneof`)."""

    selectors: tuple[ParameterSelector, ...]
    one_of: bool = False
    collected: bool = False
    """The value is what a loop collected, directly or through nested DAGs; a loop around it may collect flat."""


@dataclass(frozen=True, slots=True)
class DagArtifactOutput:
    """Several selectors mean the first whose producer succeeded (OneOf)."""

    selectors: tuple[ParameterSelector, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One entry of `dag.tasks`. `dependencies` are indices into `Dag.tasks`: explicit edges and producers of inputs."""

    name: str
    display_name: str
    component: Component
    parameters: Mapping[str, ParameterInput]
    artifacts: Mapping[str, ArtifactInput]
    dependencies: tuple[int, ...]
    explicit_dependencies: tuple[str, ...]
    """`dependentTasks` sorted, the first of which is the final-status producer upstream reads."""
    condition: str | None = None
    strategy: TriggerStrategy = TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED
    parameter_iterator: ParameterIterator | None = None
    artifact_iterator: ArtifactIterator | None = None
    parallelism_limit: int = 0
    retry: RetryPolicy | None = None
    caching: CachingOptions = CachingOptions()

    @property
    def is_loop(self) -> bool:
        """Over parameters or artifacts; the component is run for each item."""
        return self.parameter_iterator is not None or self.artifact_iterator is not None


@dataclass(frozen=True, slots=True)
class Dag:
    """`index` maps names to indices of `tasks`; `dependents[i]` are the indices of the tasks that wait for task i."""

    tasks: tuple[Task, ...]
    index: Mapping[str, int]
    dependents: tuple[tuple[int, ...], ...]
    parameter_outputs: Mapping[str, DagParameterOutput]
    artifact_outputs: Mapping[str, DagArtifactOutput]


@dataclass(frozen=True, slots=True)
class Component:
    """`kubernetes` is the executor's KubernetesExecutorConfig as camelCase JSON, empty when there is none."""

    name: str
    input_parameters: Mapping[str, ParameterDefinition]
    input_artifacts: Mapping[str, ArtifactDefinition]
    output_parameters: Mapping[str, ParameterDefinition]
    output_artifacts: Mapping[str, ArtifactDefinition]
    implementation: Dag | ContainerExecutor | ImporterExecutor
    executor_label: str = ""
    kubernetes: Mapping[str, JsonValue] = field(default_factory=dict)
    task_config_passthroughs: tuple[Mapping[str, JsonValue], ...] = ()
    attempts: AttemptSettings = NO_ATTEMPT_SETTINGS
    gangs: tuple[str, ...] = ()
    """Where below it are tasks that start together over a loop around it, by path; empty text: the component itself.
    Those in loops inside of it are gangs of these."""

    @property
    def manages_claim(self) -> bool:
        """It creates or deletes a PersistentVolumeClaim; its image is only a marker for that (executor.md §4.3)."""
        return isinstance(self.implementation, ContainerExecutor) and self.implementation.image in (
            CREATE_CLAIM,
            DELETE_CLAIM,
        )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`config` is `platforms.kubernetes.pipelineConfig` as camelCase JSON (executor.md §1.9)."""

    name: str
    display_name: str
    description: str
    schema_version: str
    sdk_version: str
    root: Component
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    has_gangs: bool = False
