from penstock_api.v1 import insight_pb2 as _insight_pb2
from penstock_api.v2beta1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchRunsRequest(_message.Message):
    __slots__ = ("namespace", "experiment_id", "filter", "sort_by", "page_size", "page_token", "until_finished")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FINISHED_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    experiment_id: str
    filter: str
    sort_by: str
    page_size: int
    page_token: str
    until_finished: bool
    def __init__(self, namespace: _Optional[str] = ..., experiment_id: _Optional[str] = ..., filter: _Optional[str] = ..., sort_by: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., until_finished: bool = ...) -> None: ...

class RunsChange(_message.Message):
    __slots__ = ("run_ids", "runs", "total_size", "next_page_token")
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run_ids: _containers.RepeatedScalarFieldContainer[str]
    runs: _containers.RepeatedCompositeFieldContainer[_run_pb2.Run]
    total_size: int
    next_page_token: str
    def __init__(self, run_ids: _Optional[_Iterable[str]] = ..., runs: _Optional[_Iterable[_Union[_run_pb2.Run, _Mapping]]] = ..., total_size: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchRunRequest(_message.Message):
    __slots__ = ("run_id", "after", "until_finished", "summary")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FINISHED_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    after: int
    until_finished: bool
    summary: bool
    def __init__(self, run_id: _Optional[str] = ..., after: _Optional[int] = ..., until_finished: bool = ..., summary: bool = ...) -> None: ...

class RunChange(_message.Message):
    __slots__ = ("sequence", "run", "tasks", "more")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    run: _run_pb2.Run
    tasks: _containers.RepeatedCompositeFieldContainer[_insight_pb2.Task]
    more: bool
    def __init__(self, sequence: _Optional[int] = ..., run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[_insight_pb2.Task, _Mapping]]] = ..., more: bool = ...) -> None: ...
