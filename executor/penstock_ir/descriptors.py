"""Message classes of the IR, in a descriptor pool of their own.

Why: a process that imports the kfp SDK has `ml_pipelines.*` in the default pool already, and a second registration
fails ("duplicate symbol"). Invariant: nothing here touches the default pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor


@lru_cache(maxsize=1)
def _pool() -> descriptor_pool.DescriptorPool:
    content = resources.files(__package__).joinpath("descriptors").joinpath("ir.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(content).file:
        pool.Add(file)
    return pool


@cache
def message_class(full_name: str) -> type[message.Message]:
    """The class of a message such as `ml_pipelines.PipelineSpec`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


@cache
def fields_by_json_name(descriptor: Descriptor) -> Mapping[str, FieldDescriptor]:
    """The fields of a message, in the order of their names in JSON."""
    return {
        field.json_name: field
        for field in sorted(descriptor.fields, key=lambda field_descriptor: str(field_descriptor.json_name))
    }


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether the field is a list or map. protobuf has `is_repeated` from 6.30 on, where `label` is deprecated."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    older: Any = field
    return bool(older.label == older.LABEL_REPEATED)
