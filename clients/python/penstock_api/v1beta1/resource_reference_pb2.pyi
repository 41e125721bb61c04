from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResourceType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN_RESOURCE_TYPE: _ClassVar[ResourceType]
    EXPERIMENT: _ClassVar[ResourceType]
    JOB: _ClassVar[ResourceType]
    PIPELINE: _ClassVar[ResourceType]
    PIPELINE_VERSION: _ClassVar[ResourceType]
    NAMESPACE: _ClassVar[ResourceType]

class Relationship(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN_RELATIONSHIP: _ClassVar[Relationship]
    OWNER: _ClassVar[Relationship]
    CREATOR: _ClassVar[Relationship]
UNKNOWN_RESOURCE_TYPE: ResourceType
EXPERIMENT: ResourceType
JOB: ResourceType
PIPELINE: ResourceType
PIPELINE_VERSION: ResourceType
NAMESPACE: ResourceType
UNKNOWN_RELATIONSHIP: Relationship
OWNER: Relationship
CREATOR: Relationship

class ResourceKey(_message.Message):
    __slots__ = ("type", "id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    id: str
    def __init__(self, type: _Optional[_Union[ResourceType, str]] = ..., id: _Optional[str] = ...) -> None: ...

class ResourceReference(_message.Message):
    __slots__ = ("key", "relationship", "name")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    key: ResourceKey
    relationship: Relationship
    name: str
    def __init__(self, key: _Optional[_Union[ResourceKey, _Mapping]] = ..., relationship: _Optional[_Union[Relationship, str]] = ..., name: _Optional[str] = ...) -> None: ...
