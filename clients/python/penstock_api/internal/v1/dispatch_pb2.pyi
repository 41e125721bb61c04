from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClaimRunsRequest(_message.Message):
    __slots__ = ("executor_id", "max_runs", "wait_millis", "lease_millis", "backend", "status")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    max_runs: int
    wait_millis: int
    lease_millis: int
    backend: str
    status: ExecutorStatus
    def __init__(self, executor_id: _Optional[str] = ..., max_runs: _Optional[int] = ..., wait_millis: _Optional[int] = ..., lease_millis: _Optional[int] = ..., backend: _Optional[str] = ..., status: _Optional[_Union[ExecutorStatus, _Mapping]] = ...) -> None: ...

class ExecutorStatus(_message.Message):
    __slots__ = ("backend", "version", "places", "open_attempts")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    OPEN_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    backend: str
    version: str
    places: int
    open_attempts: int
    def __init__(self, backend: _Optional[str] = ..., version: _Optional[str] = ..., places: _Optional[int] = ..., open_attempts: _Optional[int] = ...) -> None: ...

class ClaimRunsResponse(_message.Message):
    __slots__ = ("runs", "waited_millis", "limited")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    WAITED_MILLIS_FIELD_NUMBER: _ClassVar[int]
    LIMITED_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[ClaimedRun]
    waited_millis: int
    limited: bool
    def __init__(self, runs: _Optional[_Iterable[_Union[ClaimedRun, _Mapping]]] = ..., waited_millis: _Optional[int] = ..., limited: bool = ...) -> None: ...

class ClaimedRun(_message.Message):
    __slots__ = ("run_id", "fence", "display_name", "namespace", "pipeline_spec_json", "platform_spec_json", "parameters_json", "pipeline_root", "service_account", "created_at_millis", "scheduled_at_millis", "terminate_requested", "events", "resource_name", "policy")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_ROOT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    fence: int
    display_name: str
    namespace: str
    pipeline_spec_json: bytes
    platform_spec_json: bytes
    parameters_json: bytes
    pipeline_root: str
    service_account: str
    created_at_millis: int
    scheduled_at_millis: int
    terminate_requested: bool
    events: _containers.RepeatedScalarFieldContainer[bytes]
    resource_name: str
    policy: RunPolicy
    def __init__(self, run_id: _Optional[str] = ..., fence: _Optional[int] = ..., display_name: _Optional[str] = ..., namespace: _Optional[str] = ..., pipeline_spec_json: _Optional[bytes] = ..., platform_spec_json: _Optional[bytes] = ..., parameters_json: _Optional[bytes] = ..., pipeline_root: _Optional[str] = ..., service_account: _Optional[str] = ..., created_at_millis: _Optional[int] = ..., scheduled_at_millis: _Optional[int] = ..., terminate_requested: bool = ..., events: _Optional[_Iterable[bytes]] = ..., resource_name: _Optional[str] = ..., policy: _Optional[_Union[RunPolicy, _Mapping]] = ...) -> None: ...

class RunPolicy(_message.Message):
    __slots__ = ("caching", "max_cache_age_millis", "fail_fast", "deadline_millis", "documented_final_status", "flat_collected", "infrastructure_retries", "priority", "pool", "workers")
    CACHING_FIELD_NUMBER: _ClassVar[int]
    MAX_CACHE_AGE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    FAIL_FAST_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTED_FINAL_STATUS_FIELD_NUMBER: _ClassVar[int]
    FLAT_COLLECTED_FIELD_NUMBER: _ClassVar[int]
    INFRASTRUCTURE_RETRIES_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    caching: bool
    max_cache_age_millis: int
    fail_fast: bool
    deadline_millis: int
    documented_final_status: bool
    flat_collected: bool
    infrastructure_retries: int
    priority: int
    pool: str
    workers: str
    def __init__(self, caching: bool = ..., max_cache_age_millis: _Optional[int] = ..., fail_fast: bool = ..., deadline_millis: _Optional[int] = ..., documented_final_status: bool = ..., flat_collected: bool = ..., infrastructure_retries: _Optional[int] = ..., priority: _Optional[int] = ..., pool: _Optional[str] = ..., workers: _Optional[str] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("run_id", "fence", "unrenewed")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    UNRENEWED_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    fence: int
    unrenewed: bool
    def __init__(self, run_id: _Optional[str] = ..., fence: _Optional[int] = ..., unrenewed: bool = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("executor_id", "lease_millis", "leases", "release", "release_all", "status")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_MILLIS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ALL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    lease_millis: int
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    release: bool
    release_all: bool
    status: ExecutorStatus
    def __init__(self, executor_id: _Optional[str] = ..., lease_millis: _Optional[int] = ..., leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., release: bool = ..., release_all: bool = ..., status: _Optional[_Union[ExecutorStatus, _Mapping]] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("lost_run_ids", "terminate_run_ids", "deleted_run_ids", "limited")
    LOST_RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    DELETED_RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    LIMITED_FIELD_NUMBER: _ClassVar[int]
    lost_run_ids: _containers.RepeatedScalarFieldContainer[str]
    terminate_run_ids: _containers.RepeatedScalarFieldContainer[str]
    deleted_run_ids: _containers.RepeatedScalarFieldContainer[str]
    limited: bool
    def __init__(self, lost_run_ids: _Optional[_Iterable[str]] = ..., terminate_run_ids: _Optional[_Iterable[str]] = ..., deleted_run_ids: _Optional[_Iterable[str]] = ..., limited: bool = ...) -> None: ...

class ReportTransitionsRequest(_message.Message):
    __slots__ = ("executor_id", "runs")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    runs: _containers.RepeatedCompositeFieldContainer[RunTransitions]
    def __init__(self, executor_id: _Optional[str] = ..., runs: _Optional[_Iterable[_Union[RunTransitions, _Mapping]]] = ...) -> None: ...

class RunTransitions(_message.Message):
    __slots__ = ("run_id", "fence", "first_sequence", "events", "tasks", "artifacts", "cache_entries", "run", "execution_ids", "artifact_ids", "waits", "attempts")
    class ExecutionIdsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ArtifactIdsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_IDS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_IDS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    fence: int
    first_sequence: int
    events: _containers.RepeatedScalarFieldContainer[bytes]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRow]
    artifacts: _containers.RepeatedCompositeFieldContainer[ArtifactRow]
    cache_entries: _containers.RepeatedCompositeFieldContainer[CacheEntry]
    run: RunUpdate
    execution_ids: _containers.ScalarMap[str, int]
    artifact_ids: _containers.ScalarMap[str, int]
    waits: _containers.RepeatedCompositeFieldContainer[TaskWait]
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptRow]
    def __init__(self, run_id: _Optional[str] = ..., fence: _Optional[int] = ..., first_sequence: _Optional[int] = ..., events: _Optional[_Iterable[bytes]] = ..., tasks: _Optional[_Iterable[_Union[TaskRow, _Mapping]]] = ..., artifacts: _Optional[_Iterable[_Union[ArtifactRow, _Mapping]]] = ..., cache_entries: _Optional[_Iterable[_Union[CacheEntry, _Mapping]]] = ..., run: _Optional[_Union[RunUpdate, _Mapping]] = ..., execution_ids: _Optional[_Mapping[str, int]] = ..., artifact_ids: _Optional[_Mapping[str, int]] = ..., waits: _Optional[_Iterable[_Union[TaskWait, _Mapping]]] = ..., attempts: _Optional[_Iterable[_Union[AttemptRow, _Mapping]]] = ...) -> None: ...

class AttemptRow(_message.Message):
    __slots__ = ("path", "attempt", "created_at_millis", "placed_at_millis", "scheduled_at_millis", "prepared_at_millis", "fetched_at_millis", "started_at_millis", "finished_at_millis", "stored_at_millis", "ended_at_millis", "outcome", "exit_code", "error", "pod_name", "log_uri", "node", "placement", "log_mark")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    PLACED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    PREPARED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    FETCHED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    STORED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    LOG_URI_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    LOG_MARK_FIELD_NUMBER: _ClassVar[int]
    path: str
    attempt: int
    created_at_millis: int
    placed_at_millis: int
    scheduled_at_millis: int
    prepared_at_millis: int
    fetched_at_millis: int
    started_at_millis: int
    finished_at_millis: int
    stored_at_millis: int
    ended_at_millis: int
    outcome: str
    exit_code: int
    error: str
    pod_name: str
    log_uri: str
    node: str
    placement: str
    log_mark: str
    def __init__(self, path: _Optional[str] = ..., attempt: _Optional[int] = ..., created_at_millis: _Optional[int] = ..., placed_at_millis: _Optional[int] = ..., scheduled_at_millis: _Optional[int] = ..., prepared_at_millis: _Optional[int] = ..., fetched_at_millis: _Optional[int] = ..., started_at_millis: _Optional[int] = ..., finished_at_millis: _Optional[int] = ..., stored_at_millis: _Optional[int] = ..., ended_at_millis: _Optional[int] = ..., outcome: _Optional[str] = ..., exit_code: _Optional[int] = ..., error: _Optional[str] = ..., pod_name: _Optional[str] = ..., log_uri: _Optional[str] = ..., node: _Optional[str] = ..., placement: _Optional[str] = ..., log_mark: _Optional[str] = ...) -> None: ...

class TaskWait(_message.Message):
    __slots__ = ("path", "text")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    path: str
    text: str
    def __init__(self, path: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class RunUpdate(_message.Message):
    __slots__ = ("state", "error", "at_millis", "finished", "pipeline_context_id", "pipeline_run_context_id")
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_CONTEXT_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_RUN_CONTEXT_ID_FIELD_NUMBER: _ClassVar[int]
    state: str
    error: str
    at_millis: int
    finished: bool
    pipeline_context_id: int
    pipeline_run_context_id: int
    def __init__(self, state: _Optional[str] = ..., error: _Optional[str] = ..., at_millis: _Optional[int] = ..., finished: bool = ..., pipeline_context_id: _Optional[int] = ..., pipeline_run_context_id: _Optional[int] = ...) -> None: ...

class TaskRow(_message.Message):
    __slots__ = ("path", "name", "display_name", "parent_path", "kind", "state", "attempt", "created_at_millis", "started_at_millis", "finished_at_millis", "error", "inputs_json", "outputs_json", "pod_name", "log_uri", "iteration_index", "fingerprint", "history", "input_artifacts_json", "output_artifacts_json", "phase", "wake_at_millis")
    PATH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    LOG_URI_FIELD_NUMBER: _ClassVar[int]
    ITERATION_INDEX_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    INPUT_ARTIFACTS_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_ARTIFACTS_JSON_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    path: str
    name: str
    display_name: str
    parent_path: str
    kind: str
    state: str
    attempt: int
    created_at_millis: int
    started_at_millis: int
    finished_at_millis: int
    error: str
    inputs_json: bytes
    outputs_json: bytes
    pod_name: str
    log_uri: str
    iteration_index: int
    fingerprint: str
    history: _containers.RepeatedCompositeFieldContainer[StateChange]
    input_artifacts_json: bytes
    output_artifacts_json: bytes
    phase: str
    wake_at_millis: int
    def __init__(self, path: _Optional[str] = ..., name: _Optional[str] = ..., display_name: _Optional[str] = ..., parent_path: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., attempt: _Optional[int] = ..., created_at_millis: _Optional[int] = ..., started_at_millis: _Optional[int] = ..., finished_at_millis: _Optional[int] = ..., error: _Optional[str] = ..., inputs_json: _Optional[bytes] = ..., outputs_json: _Optional[bytes] = ..., pod_name: _Optional[str] = ..., log_uri: _Optional[str] = ..., iteration_index: _Optional[int] = ..., fingerprint: _Optional[str] = ..., history: _Optional[_Iterable[_Union[StateChange, _Mapping]]] = ..., input_artifacts_json: _Optional[bytes] = ..., output_artifacts_json: _Optional[bytes] = ..., phase: _Optional[str] = ..., wake_at_millis: _Optional[int] = ...) -> None: ...

class StateChange(_message.Message):
    __slots__ = ("state", "at_millis")
    STATE_FIELD_NUMBER: _ClassVar[int]
    AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    state: str
    at_millis: int
    def __init__(self, state: _Optional[str] = ..., at_millis: _Optional[int] = ...) -> None: ...

class ArtifactRow(_message.Message):
    __slots__ = ("name", "type", "uri", "metadata_json", "task_path", "port", "created_at_millis", "display_name")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    TASK_PATH_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    uri: str
    metadata_json: bytes
    task_path: str
    port: str
    created_at_millis: int
    display_name: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., uri: _Optional[str] = ..., metadata_json: _Optional[bytes] = ..., task_path: _Optional[str] = ..., port: _Optional[str] = ..., created_at_millis: _Optional[int] = ..., display_name: _Optional[str] = ...) -> None: ...

class CacheEntry(_message.Message):
    __slots__ = ("fingerprint", "pipeline_name", "namespace", "task_path", "outputs_json", "created_at_millis")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_PATH_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MILLIS_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    pipeline_name: str
    namespace: str
    task_path: str
    outputs_json: bytes
    created_at_millis: int
    def __init__(self, fingerprint: _Optional[str] = ..., pipeline_name: _Optional[str] = ..., namespace: _Optional[str] = ..., task_path: _Optional[str] = ..., outputs_json: _Optional[bytes] = ..., created_at_millis: _Optional[int] = ...) -> None: ...

class ReportTransitionsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RunReport]
    def __init__(self, results: _Optional[_Iterable[_Union[RunReport, _Mapping]]] = ...) -> None: ...

class RunReport(_message.Message):
    __slots__ = ("run_id", "outcome", "terminate_requested")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[RunReport.Outcome]
        OUTCOME_COMMITTED: _ClassVar[RunReport.Outcome]
        OUTCOME_FENCED: _ClassVar[RunReport.Outcome]
        OUTCOME_DELETED: _ClassVar[RunReport.Outcome]
    OUTCOME_UNSPECIFIED: RunReport.Outcome
    OUTCOME_COMMITTED: RunReport.Outcome
    OUTCOME_FENCED: RunReport.Outcome
    OUTCOME_DELETED: RunReport.Outcome
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    outcome: RunReport.Outcome
    terminate_requested: bool
    def __init__(self, run_id: _Optional[str] = ..., outcome: _Optional[_Union[RunReport.Outcome, str]] = ..., terminate_requested: bool = ...) -> None: ...

class LookupCacheRequest(_message.Message):
    __slots__ = ("keys",)
    class Key(_message.Message):
        __slots__ = ("fingerprint", "pipeline_name", "namespace", "not_before_millis")
        FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
        PIPELINE_NAME_FIELD_NUMBER: _ClassVar[int]
        NAMESPACE_FIELD_NUMBER: _ClassVar[int]
        NOT_BEFORE_MILLIS_FIELD_NUMBER: _ClassVar[int]
        fingerprint: str
        pipeline_name: str
        namespace: str
        not_before_millis: int
        def __init__(self, fingerprint: _Optional[str] = ..., pipeline_name: _Optional[str] = ..., namespace: _Optional[str] = ..., not_before_millis: _Optional[int] = ...) -> None: ...
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[LookupCacheRequest.Key]
    def __init__(self, keys: _Optional[_Iterable[_Union[LookupCacheRequest.Key, _Mapping]]] = ...) -> None: ...

class LookupCacheResponse(_message.Message):
    __slots__ = ("answers",)
    class Answer(_message.Message):
        __slots__ = ("found", "outputs_json", "run_id", "task_path", "execution_id", "reason")
        FOUND_FIELD_NUMBER: _ClassVar[int]
        OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        TASK_PATH_FIELD_NUMBER: _ClassVar[int]
        EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        found: bool
        outputs_json: bytes
        run_id: str
        task_path: str
        execution_id: int
        reason: str
        def __init__(self, found: bool = ..., outputs_json: _Optional[bytes] = ..., run_id: _Optional[str] = ..., task_path: _Optional[str] = ..., execution_id: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[LookupCacheResponse.Answer]
    def __init__(self, answers: _Optional[_Iterable[_Union[LookupCacheResponse.Answer, _Mapping]]] = ...) -> None: ...

class FilterRunsRequest(_message.Message):
    __slots__ = ("run_ids",)
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    run_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FilterRunsResponse(_message.Message):
    __slots__ = ("holds",)
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[RunHold]
    def __init__(self, holds: _Optional[_Iterable[_Union[RunHold, _Mapping]]] = ...) -> None: ...

class RunHold(_message.Message):
    __slots__ = ("run_id", "state", "executor_id")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[RunHold.State]
        STATE_UNKNOWN: _ClassVar[RunHold.State]
        STATE_FINISHED: _ClassVar[RunHold.State]
        STATE_WAITING: _ClassVar[RunHold.State]
        STATE_HELD: _ClassVar[RunHold.State]
    STATE_UNSPECIFIED: RunHold.State
    STATE_UNKNOWN: RunHold.State
    STATE_FINISHED: RunHold.State
    STATE_WAITING: RunHold.State
    STATE_HELD: RunHold.State
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    state: RunHold.State
    executor_id: str
    def __init__(self, run_id: _Optional[str] = ..., state: _Optional[_Union[RunHold.State, str]] = ..., executor_id: _Optional[str] = ...) -> None: ...

class TakeSlotsRequest(_message.Message):
    __slots__ = ("executor_id", "attempts", "why")
    class Demand(_message.Message):
        __slots__ = ("pool", "slots")
        POOL_FIELD_NUMBER: _ClassVar[int]
        SLOTS_FIELD_NUMBER: _ClassVar[int]
        pool: str
        slots: int
        def __init__(self, pool: _Optional[str] = ..., slots: _Optional[int] = ...) -> None: ...
    class Attempt(_message.Message):
        __slots__ = ("run_id", "fence", "path", "attempt", "demands", "adopt", "gang", "log_length")
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        FENCE_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        ATTEMPT_FIELD_NUMBER: _ClassVar[int]
        DEMANDS_FIELD_NUMBER: _ClassVar[int]
        ADOPT_FIELD_NUMBER: _ClassVar[int]
        GANG_FIELD_NUMBER: _ClassVar[int]
        LOG_LENGTH_FIELD_NUMBER: _ClassVar[int]
        run_id: str
        fence: int
        path: str
        attempt: int
        demands: _containers.RepeatedCompositeFieldContainer[TakeSlotsRequest.Demand]
        adopt: bool
        gang: str
        log_length: int
        def __init__(self, run_id: _Optional[str] = ..., fence: _Optional[int] = ..., path: _Optional[str] = ..., attempt: _Optional[int] = ..., demands: _Optional[_Iterable[_Union[TakeSlotsRequest.Demand, _Mapping]]] = ..., adopt: bool = ..., gang: _Optional[str] = ..., log_length: _Optional[int] = ...) -> None: ...
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[TakeSlotsRequest.Attempt]
    why: bool
    def __init__(self, executor_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[TakeSlotsRequest.Attempt, _Mapping]]] = ..., why: bool = ...) -> None: ...

class TakeSlotsResponse(_message.Message):
    __slots__ = ("answers",)
    class Answer(_message.Message):
        __slots__ = ("state", "text")
        class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            STATE_UNSPECIFIED: _ClassVar[TakeSlotsResponse.Answer.State]
            STATE_GRANTED: _ClassVar[TakeSlotsResponse.Answer.State]
            STATE_WAITING: _ClassVar[TakeSlotsResponse.Answer.State]
            STATE_REFUSED: _ClassVar[TakeSlotsResponse.Answer.State]
            STATE_FENCED: _ClassVar[TakeSlotsResponse.Answer.State]
        STATE_UNSPECIFIED: TakeSlotsResponse.Answer.State
        STATE_GRANTED: TakeSlotsResponse.Answer.State
        STATE_WAITING: TakeSlotsResponse.Answer.State
        STATE_REFUSED: TakeSlotsResponse.Answer.State
        STATE_FENCED: TakeSlotsResponse.Answer.State
        STATE_FIELD_NUMBER: _ClassVar[int]
        TEXT_FIELD_NUMBER: _ClassVar[int]
        state: TakeSlotsResponse.Answer.State
        text: str
        def __init__(self, state: _Optional[_Union[TakeSlotsResponse.Answer.State, str]] = ..., text: _Optional[str] = ...) -> None: ...
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[TakeSlotsResponse.Answer]
    def __init__(self, answers: _Optional[_Iterable[_Union[TakeSlotsResponse.Answer, _Mapping]]] = ...) -> None: ...
