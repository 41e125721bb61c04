"""Messages of the IR in a descriptor pool of their own.

Why: a process that imports the kfp SDK has `ml_pipelines.*` in the default pool already, and a second registration ends
it ("duplicate symbol"). Invariant: nothing here touches the default pool.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory


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
