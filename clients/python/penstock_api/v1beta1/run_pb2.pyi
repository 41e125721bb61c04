from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penstock_api.v1beta1 import pipeline_spec_pb2 as _pipeline_spec_pb2
from penstock_api.v1beta1 import resource_reference_pb2 as _resource_reference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Run(_message.Message):
    __slots__ = ("id", "name", "description", "pipeline_spec", "resource_references", "created_at", "scheduled_at", "status", "storage_state", "error", "finished_at", "service_account")
    class StorageState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STORAGESTATE_AVAILABLE: _ClassVar[Run.StorageState]
        STORAGESTATE_ARCHIVED: _ClassVar[Run.StorageState]
    STORAGESTATE_AVAILABLE: Run.StorageState
    STORAGESTATE_ARCHIVED: Run.StorageState
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_REFERENCES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STORAGE_STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    pipeline_spec: _pipeline_spec_pb2.PipelineSpec
    resource_references: _containers.RepeatedCompositeFieldContainer[_resource_reference_pb2.ResourceReference]
    created_at: _timestamp_pb2.Timestamp
    scheduled_at: _timestamp_pb2.Timestamp
    status: str
    storage_state: Run.StorageState
    error: str
    finished_at: _timestamp_pb2.Timestamp
    service_account: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., pipeline_spec: _Optional[_Union[_pipeline_spec_pb2.PipelineSpec, _Mapping]] = ..., resource_references: _Optional[_Iterable[_Union[_resource_reference_pb2.ResourceReference, _Mapping]]] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[str] = ..., storage_state: _Optional[_Union[Run.StorageState, str]] = ..., error: _Optional[str] = ..., finished_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., service_account: _Optional[str] = ...) -> None: ...

class PipelineRuntime(_message.Message):
    __slots__ = ("pipeline_manifest", "workflow_manifest")
    PIPELINE_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    pipeline_manifest: str
    workflow_manifest: str
    def __init__(self, pipeline_manifest: _Optional[str] = ..., workflow_manifest: _Optional[str] = ...) -> None: ...

class RunDetail(_message.Message):
    __slots__ = ("run", "pipeline_runtime")
    RUN_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_RUNTIME_FIELD_NUMBER: _ClassVar[int]
    run: Run
    pipeline_runtime: PipelineRuntime
    def __init__(self, run: _Optional[_Union[Run, _Mapping]] = ..., pipeline_runtime: _Optional[_Union[PipelineRuntime, _Mapping]] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("page_token", "page_size", "sort_by", "resource_reference_key", "filter")
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_REFERENCE_KEY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    page_size: int
    sort_by: str
    resource_reference_key: _resource_reference_pb2.ResourceKey
    filter: str
    def __init__(self, page_token: _Optional[str] = ..., page_size: _Optional[int] = ..., sort_by: _Optional[str] = ..., resource_reference_key: _Optional[_Union[_resource_reference_pb2.ResourceKey, _Mapping]] = ..., filter: _Optional[str] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token", "total_size")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next_page_token: str
    total_size: int
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class ArchiveRunRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class UnarchiveRunRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteRunRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class TerminateRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class RetryRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...
