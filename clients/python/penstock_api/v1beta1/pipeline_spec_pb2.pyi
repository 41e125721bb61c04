from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Parameter(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class PipelineSpec(_message.Message):
    __slots__ = ("pipeline_id", "workflow_manifest", "pipeline_manifest", "parameters", "pipeline_name", "runtime_config")
    class RuntimeConfig(_message.Message):
        __slots__ = ("parameters", "pipeline_root")
        class ParametersEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: _struct_pb2.Value
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
        PARAMETERS_FIELD_NUMBER: _ClassVar[int]
        PIPELINE_ROOT_FIELD_NUMBER: _ClassVar[int]
        parameters: _containers.MessageMap[str, _struct_pb2.Value]
        pipeline_root: str
        def __init__(self, parameters: _Optional[_Mapping[str, _struct_pb2.Value]] = ..., pipeline_root: _Optional[str] = ...) -> None: ...
    PIPELINE_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_NAME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_CONFIG_FIELD_NUMBER: _ClassVar[int]
    pipeline_id: str
    workflow_manifest: str
    pipeline_manifest: str
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    pipeline_name: str
    runtime_config: PipelineSpec.RuntimeConfig
    def __init__(self, pipeline_id: _Optional[str] = ..., workflow_manifest: _Optional[str] = ..., pipeline_manifest: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., pipeline_name: _Optional[str] = ..., runtime_config: _Optional[_Union[PipelineSpec.RuntimeConfig, _Mapping]] = ...) -> None: ...
