"""Pipelines and versions."""

from __future__ import annotations

import json

from penstock_api.v2beta1 import pipeline_pb2 as pb

from penstock_server.domain.pipeline import Pipeline, PipelineVersion
from penstock_server.rpc.convert.common import struct, timestamp


def to_proto(pipeline: Pipeline) -> pb.Pipeline:
    return pb.Pipeline(
        pipeline_id=pipeline.pipeline_id,
        name=pipeline.name,
        display_name=pipeline.display_name,
        description=pipeline.description,
        created_at=timestamp(pipeline.created_at),
        namespace=pipeline.namespace,
        tags=pipeline.tags,
    )


def version_to_proto(version: PipelineVersion) -> pb.PipelineVersion:
    """Without its document where that was not read."""
    message = pb.PipelineVersion(
        pipeline_id=version.pipeline_id,
        pipeline_version_id=version.pipeline_version_id,
        name=version.name,
        display_name=version.display_name,
        description=version.description,
        created_at=timestamp(version.created_at),
        code_source_url=version.code_source_url,
        tags=version.tags,
    )
    if version.spec.pipeline_spec:
        spec = json.loads(version.spec.pipeline_spec)
        if version.spec.platform_spec:
            spec = {"pipeline_spec": spec, "platform_spec": json.loads(version.spec.platform_spec)}
        message.pipeline_spec.CopyFrom(struct(spec))
    if version.package_url:
        message.package_url.pipeline_url = version.package_url
    return message
