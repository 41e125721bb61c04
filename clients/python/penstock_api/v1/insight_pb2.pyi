from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as _recurring_run_pb2
from penstock_api.v2beta1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttemptPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_PHASE_UNSPECIFIED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_QUEUED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_SCHEDULING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_PREPARING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_FETCHING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_RUNNING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_STORING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_CONCLUDING: _ClassVar[AttemptPhase]
ATTEMPT_PHASE_UNSPECIFIED: AttemptPhase
ATTEMPT_PHASE_QUEUED: AttemptPhase
ATTEMPT_PHASE_SCHEDULING: AttemptPhase
ATTEMPT_PHASE_PREPARING: AttemptPhase
ATTEMPT_PHASE_FETCHING: AttemptPhase
ATTEMPT_PHASE_RUNNING: AttemptPhase
ATTEMPT_PHASE_STORING: AttemptPhase
ATTEMPT_PHASE_CONCLUDING: AttemptPhase

class ListAttemptsRequest(_message.Message):
    __slots__ = ("run_id", "paths")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ListAttemptsResponse(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    def __init__(self, attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("path", "number", "state", "failure", "exit_code", "error", "pod_name", "log_uri", "node", "phases", "placement")
    PATH_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    LOG_URI_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    path: str
    number: int
    state: str
    failure: str
    exit_code: int
    error: str
    pod_name: str
    log_uri: str
    node: str
    phases: _containers.RepeatedCompositeFieldContainer[PhaseSpan]
    placement: str
    def __init__(self, path: _Optional[str] = ..., number: _Optional[int] = ..., state: _Optional[str] = ..., failure: _Optional[str] = ..., exit_code: _Optional[int] = ..., error: _Optional[str] = ..., pod_name: _Optional[str] = ..., log_uri: _Optional[str] = ..., node: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[PhaseSpan, _Mapping]]] = ..., placement: _Optional[str] = ...) -> None: ...

class PhaseSpan(_message.Message):
    __slots__ = ("phase", "start", "end")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    phase: AttemptPhase
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, phase: _Optional[_Union[AttemptPhase, str]] = ..., start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTimelineRequest(_message.Message):
    __slots__ = ("run_id", "parent_path", "to", "max_attempts", "max_bins")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_PATH_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_BINS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    parent_path: str
    to: _timestamp_pb2.Timestamp
    max_attempts: int
    max_bins: int
    def __init__(self, run_id: _Optional[str] = ..., parent_path: _Optional[str] = ..., to: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., max_attempts: _Optional[int] = ..., max_bins: _Optional[int] = ..., **kwargs) -> None: ...

class Timeline(_message.Message):
    __slots__ = ("to", "total_attempts", "attempts", "bins", "critical_path", "at")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_PATH_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    to: _timestamp_pb2.Timestamp
    total_attempts: int
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    bins: _containers.RepeatedCompositeFieldContainer[TimelineBin]
    critical_path: _containers.RepeatedCompositeFieldContainer[CriticalTask]
    at: _timestamp_pb2.Timestamp
    def __init__(self, to: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., total_attempts: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., bins: _Optional[_Iterable[_Union[TimelineBin, _Mapping]]] = ..., critical_path: _Optional[_Iterable[_Union[CriticalTask, _Mapping]]] = ..., at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class TimelineBin(_message.Message):
    __slots__ = ("start", "attempts")
    class AttemptsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    attempts: _containers.ScalarMap[str, float]
    def __init__(self, start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[_Mapping[str, float]] = ...) -> None: ...

class CriticalTask(_message.Message):
    __slots__ = ("path", "display_name", "state", "start", "end")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    path: str
    display_name: str
    state: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, path: _Optional[str] = ..., display_name: _Optional[str] = ..., state: _Optional[str] = ..., start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("artifact", "run_id", "path", "direction", "depth", "max_nodes")
    class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DIRECTION_BOTH: _ClassVar[GetLineageRequest.Direction]
        DIRECTION_BACKWARDS: _ClassVar[GetLineageRequest.Direction]
        DIRECTION_FORWARDS: _ClassVar[GetLineageRequest.Direction]
    DIRECTION_BOTH: GetLineageRequest.Direction
    DIRECTION_BACKWARDS: GetLineageRequest.Direction
    DIRECTION_FORWARDS: GetLineageRequest.Direction
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    MAX_NODES_FIELD_NUMBER: _ClassVar[int]
    artifact: str
    run_id: str
    path: str
    direction: GetLineageRequest.Direction
    depth: int
    max_nodes: int
    def __init__(self, artifact: _Optional[str] = ..., run_id: _Optional[str] = ..., path: _Optional[str] = ..., direction: _Optional[_Union[GetLineageRequest.Direction, str]] = ..., depth: _Optional[int] = ..., max_nodes: _Optional[int] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("artifacts", "tasks", "uses", "truncated")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[LineageArtifact]
    tasks: _containers.RepeatedCompositeFieldContainer[LineageTask]
    uses: _containers.RepeatedCompositeFieldContainer[LineageUse]
    truncated: bool
    def __init__(self, artifacts: _Optional[_Iterable[_Union[LineageArtifact, _Mapping]]] = ..., tasks: _Optional[_Iterable[_Union[LineageTask, _Mapping]]] = ..., uses: _Optional[_Iterable[_Union[LineageUse, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class LineageArtifact(_message.Message):
    __slots__ = ("artifact", "more")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    artifact: Artifact
    more: bool
    def __init__(self, artifact: _Optional[_Union[Artifact, _Mapping]] = ..., more: bool = ...) -> None: ...

class LineageTask(_message.Message):
    __slots__ = ("run_id", "path", "display_name", "state", "kind", "run_display_name", "finished_at", "more")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RUN_DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    path: str
    display_name: str
    state: str
    kind: str
    run_display_name: str
    finished_at: _timestamp_pb2.Timestamp
    more: bool
    def __init__(self, run_id: _Optional[str] = ..., path: _Optional[str] = ..., display_name: _Optional[str] = ..., state: _Optional[str] = ..., kind: _Optional[str] = ..., run_display_name: _Optional[str] = ..., finished_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., more: bool = ...) -> None: ...

class LineageUse(_message.Message):
    __slots__ = ("run_id", "path", "artifact", "output", "port")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    path: str
    artifact: str
    output: bool
    port: str
    def __init__(self, run_id: _Optional[str] = ..., path: _Optional[str] = ..., artifact: _Optional[str] = ..., output: bool = ..., port: _Optional[str] = ...) -> None: ...

class CompareRunsRequest(_message.Message):
    __slots__ = ("run_ids",)
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    run_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class CompareRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[ComparedRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[ComparedRun, _Mapping]]] = ...) -> None: ...

class ComparedRun(_message.Message):
    __slots__ = ("run", "parameters", "metrics", "classification_metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RUN_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_METRICS_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    parameters: _struct_pb2.Struct
    metrics: _containers.ScalarMap[str, float]
    classification_metrics: _containers.RepeatedCompositeFieldContainer[Artifact]
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., classification_metrics: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ...) -> None: ...

class GetOverviewRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class Overview(_message.Message):
    __slots__ = ("open_runs", "waiting_runs", "waiting_since", "executors", "problems", "server_version", "database", "schema_revision", "at")
    class OpenRunsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    OPEN_RUNS_FIELD_NUMBER: _ClassVar[int]
    WAITING_RUNS_FIELD_NUMBER: _ClassVar[int]
    WAITING_SINCE_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_REVISION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    open_runs: _containers.ScalarMap[str, int]
    waiting_runs: int
    waiting_since: _timestamp_pb2.Timestamp
    executors: _containers.RepeatedCompositeFieldContainer[ExecutorOverview]
    problems: _containers.RepeatedScalarFieldContainer[str]
    server_version: str
    database: str
    schema_revision: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, open_runs: _Optional[_Mapping[str, int]] = ..., waiting_runs: _Optional[int] = ..., waiting_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., executors: _Optional[_Iterable[_Union[ExecutorOverview, _Mapping]]] = ..., problems: _Optional[_Iterable[str]] = ..., server_version: _Optional[str] = ..., database: _Optional[str] = ..., schema_revision: _Optional[str] = ..., at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExecutorOverview(_message.Message):
    __slots__ = ("name", "backend", "version", "places", "open_attempts", "held_runs", "seen_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    OPEN_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    HELD_RUNS_FIELD_NUMBER: _ClassVar[int]
    SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    backend: str
    version: str
    places: int
    open_attempts: int
    held_runs: int
    seen_at: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., backend: _Optional[str] = ..., version: _Optional[str] = ..., places: _Optional[int] = ..., open_attempts: _Optional[int] = ..., held_runs: _Optional[int] = ..., seen_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListNextFiresRequest(_message.Message):
    __slots__ = ("recurring_run_id", "count")
    RECURRING_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    recurring_run_id: str
    count: int
    def __init__(self, recurring_run_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class PreviewFiresRequest(_message.Message):
    __slots__ = ("trigger", "count")
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    trigger: _recurring_run_pb2.Trigger
    count: int
    def __init__(self, trigger: _Optional[_Union[_recurring_run_pb2.Trigger, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class NextFires(_message.Message):
    __slots__ = ("fires", "reason", "time_zone")
    FIRES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    fires: _containers.RepeatedCompositeFieldContainer[_timestamp_pb2.Timestamp]
    reason: str
    time_zone: str
    def __init__(self, fires: _Optional[_Iterable[_Union[_timestamp_pb2.Timestamp, _Mapping]]] = ..., reason: _Optional[str] = ..., time_zone: _Optional[str] = ...) -> None: ...

class ExplainTaskRequest(_message.Message):
    __slots__ = ("run_id", "task")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    task: str
    def __init__(self, run_id: _Optional[str] = ..., task: _Optional[str] = ...) -> None: ...

class ExplainTaskResponse(_message.Message):
    __slots__ = ("task", "state", "summary", "reasons")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    task: str
    state: str
    summary: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, task: _Optional[str] = ..., state: _Optional[str] = ..., summary: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("text", "task", "at")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    text: str
    task: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, text: _Optional[str] = ..., task: _Optional[str] = ..., at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainCacheRequest(_message.Message):
    __slots__ = ("run_id", "task")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    task: str
    def __init__(self, run_id: _Optional[str] = ..., task: _Optional[str] = ...) -> None: ...

class ExplainCacheResponse(_message.Message):
    __slots__ = ("outcome", "summary", "other_run_id", "other_task", "differences")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ExplainCacheResponse.Outcome]
        OUTCOME_HIT: _ClassVar[ExplainCacheResponse.Outcome]
        OUTCOME_MISS: _ClassVar[ExplainCacheResponse.Outcome]
        OUTCOME_NOT_ASKED: _ClassVar[ExplainCacheResponse.Outcome]
    OUTCOME_UNSPECIFIED: ExplainCacheResponse.Outcome
    OUTCOME_HIT: ExplainCacheResponse.Outcome
    OUTCOME_MISS: ExplainCacheResponse.Outcome
    OUTCOME_NOT_ASKED: ExplainCacheResponse.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OTHER_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_TASK_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    outcome: ExplainCacheResponse.Outcome
    summary: str
    other_run_id: str
    other_task: str
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    def __init__(self, outcome: _Optional[_Union[ExplainCacheResponse.Outcome, str]] = ..., summary: _Optional[str] = ..., other_run_id: _Optional[str] = ..., other_task: _Optional[str] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("field", "this_value", "other_value")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    THIS_VALUE_FIELD_NUMBER: _ClassVar[int]
    OTHER_VALUE_FIELD_NUMBER: _ClassVar[int]
    field: str
    this_value: str
    other_value: str
    def __init__(self, field: _Optional[str] = ..., this_value: _Optional[str] = ..., other_value: _Optional[str] = ...) -> None: ...

class PlanPipelineRequest(_message.Message):
    __slots__ = ("pipeline_spec", "pipeline_version_id", "parameters", "namespace")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    PIPELINE_SPEC_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    pipeline_spec: _struct_pb2.Struct
    pipeline_version_id: str
    parameters: _containers.MessageMap[str, _struct_pb2.Value]
    namespace: str
    def __init__(self, pipeline_spec: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., pipeline_version_id: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _struct_pb2.Value]] = ..., namespace: _Optional[str] = ...) -> None: ...

class PlanPipelineResponse(_message.Message):
    __slots__ = ("tasks", "problems", "truncated")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[PlannedTask]
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    truncated: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[PlannedTask, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("place", "message")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    place: str
    message: str
    def __init__(self, place: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class PlannedTask(_message.Message):
    __slots__ = ("path", "kind", "display_name", "decision", "note", "depends_on", "condition", "inputs", "unknown_inputs", "caching", "cached_run_id", "max_retries", "iterations", "parallelism_limit", "container", "children")
    class UnknownInputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_INPUTS_FIELD_NUMBER: _ClassVar[int]
    CACHING_FIELD_NUMBER: _ClassVar[int]
    CACHED_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    PARALLELISM_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    path: str
    kind: str
    display_name: str
    decision: str
    note: str
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    condition: str
    inputs: _struct_pb2.Struct
    unknown_inputs: _containers.ScalarMap[str, str]
    caching: bool
    cached_run_id: str
    max_retries: int
    iterations: int
    parallelism_limit: int
    container: _struct_pb2.Struct
    children: _containers.RepeatedCompositeFieldContainer[PlannedTask]
    def __init__(self, path: _Optional[str] = ..., kind: _Optional[str] = ..., display_name: _Optional[str] = ..., decision: _Optional[str] = ..., note: _Optional[str] = ..., depends_on: _Optional[_Iterable[str]] = ..., condition: _Optional[str] = ..., inputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., unknown_inputs: _Optional[_Mapping[str, str]] = ..., caching: bool = ..., cached_run_id: _Optional[str] = ..., max_retries: _Optional[int] = ..., iterations: _Optional[int] = ..., parallelism_limit: _Optional[int] = ..., container: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., children: _Optional[_Iterable[_Union[PlannedTask, _Mapping]]] = ...) -> None: ...

class ReadEventLogRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class ReadArtifactRequest(_message.Message):
    __slots__ = ("name", "max_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_bytes: int
    def __init__(self, name: _Optional[str] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class ReadObjectRequest(_message.Message):
    __slots__ = ("uri", "offset", "max_bytes", "unpack")
    URI_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNPACK_FIELD_NUMBER: _ClassVar[int]
    uri: str
    offset: int
    max_bytes: int
    unpack: bool
    def __init__(self, uri: _Optional[str] = ..., offset: _Optional[int] = ..., max_bytes: _Optional[int] = ..., unpack: bool = ...) -> None: ...

class DescribePodRequest(_message.Message):
    __slots__ = ("pod_name", "run_id")
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    pod_name: str
    run_id: str
    def __init__(self, pod_name: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class DescribePodResponse(_message.Message):
    __slots__ = ("pod", "events")
    POD_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    pod: _struct_pb2.Struct
    events: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    def __init__(self, pod: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., events: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ("run_id", "node_id", "follow", "tail_bytes")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_BYTES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    node_id: str
    follow: bool
    tail_bytes: int
    def __init__(self, run_id: _Optional[str] = ..., node_id: _Optional[str] = ..., follow: bool = ..., tail_bytes: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("data", "total_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    total_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("run_id", "page_size", "page_token", "parent_path", "states", "text", "sort_by")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PARENT_PATH_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    page_size: int
    page_token: str
    parent_path: str
    states: _containers.RepeatedScalarFieldContainer[str]
    text: str
    sort_by: str
    def __init__(self, run_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., parent_path: _Optional[str] = ..., states: _Optional[_Iterable[str]] = ..., text: _Optional[str] = ..., sort_by: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token", "total_size", "counts", "sequence")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    total_size: int
    counts: _containers.ScalarMap[str, int]
    sequence: int
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., counts: _Optional[_Mapping[str, int]] = ..., sequence: _Optional[int] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("path", "name", "display_name", "parent_path", "kind", "state", "attempts", "created_at", "started_at", "finished_at", "error", "execution_id", "inputs", "outputs", "input_artifacts", "output_artifacts", "iteration_index", "log_uri", "pod_name", "duration_millis", "waiting", "child_counts")
    class InputArtifactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ArtifactNames
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ArtifactNames, _Mapping]] = ...) -> None: ...
    class OutputArtifactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ArtifactNames
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ArtifactNames, _Mapping]] = ...) -> None: ...
    class ChildCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    ITERATION_INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_URI_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    DURATION_MILLIS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    CHILD_COUNTS_FIELD_NUMBER: _ClassVar[int]
    path: str
    name: str
    display_name: str
    parent_path: str
    kind: str
    state: str
    attempts: int
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    error: str
    execution_id: int
    inputs: _struct_pb2.Struct
    outputs: _struct_pb2.Struct
    input_artifacts: _containers.MessageMap[str, ArtifactNames]
    output_artifacts: _containers.MessageMap[str, ArtifactNames]
    iteration_index: int
    log_uri: str
    pod_name: str
    duration_millis: int
    waiting: str
    child_counts: _containers.ScalarMap[str, int]
    def __init__(self, path: _Optional[str] = ..., name: _Optional[str] = ..., display_name: _Optional[str] = ..., parent_path: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., attempts: _Optional[int] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ..., execution_id: _Optional[int] = ..., inputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., outputs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., input_artifacts: _Optional[_Mapping[str, ArtifactNames]] = ..., output_artifacts: _Optional[_Mapping[str, ArtifactNames]] = ..., iteration_index: _Optional[int] = ..., log_uri: _Optional[str] = ..., pod_name: _Optional[str] = ..., duration_millis: _Optional[int] = ..., waiting: _Optional[str] = ..., child_counts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ArtifactNames(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "page_size", "page_token", "type", "namespace")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    page_size: int
    page_token: str
    type: str
    namespace: str
    def __init__(self, run_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., type: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ("artifacts", "next_page_token")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    next_page_token: str
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("name", "display_name", "type", "uri", "metadata", "run_id", "task_path", "port", "created_at", "metadata_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_PATH_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    METADATA_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    type: str
    uri: str
    metadata: _struct_pb2.Struct
    run_id: str
    task_path: str
    port: str
    created_at: _timestamp_pb2.Timestamp
    metadata_id: int
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., type: _Optional[str] = ..., uri: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., run_id: _Optional[str] = ..., task_path: _Optional[str] = ..., port: _Optional[str] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., metadata_id: _Optional[int] = ...) -> None: ...
