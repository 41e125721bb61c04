"""api.PipelineService: reading and deleting."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1beta1 import pipeline_pb2 as pb
from penstock_api.v1beta1 import pipeline_pb2_grpc

from penstock_server.domain.pipeline import Pipeline, PipelineVersion
from penstock_server.errors import NotFoundError
from penstock_server.rpc.convert.common import list_request, timestamp
from penstock_server.rpc.v1beta1.common import (
    NAMESPACE,
    OWNER,
    PIPELINE,
    list_filter_id,
    manifest,
    namespace_references,
    parameters,
    reference,
)
from penstock_server.services.documents import Documents
from penstock_server.services.pipelines import PipelineService


class PipelineServicerV1(pipeline_pb2_grpc.PipelineServiceServicer):
    def __init__(self, service: PipelineService, documents: Documents) -> None:
        self._service = service
        self._documents = documents

    def GetPipelineV1(self, request: pb.GetPipelineRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        return self._with_version(self._service.get(request.id))

    def GetPipelineByNameV1(self, request: pb.GetPipelineByNameRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        # The path of REST has a place for the namespace; a hyphen stands for none there.
        namespace = "" if request.namespace == "-" else request.namespace
        return self._with_version(self._service.get_by_name(request.name, namespace))

    def ListPipelinesV1(
        self, request: pb.ListPipelinesRequest, context: grpc.ServicerContext
    ) -> pb.ListPipelinesResponse:
        namespace = list_filter_id(request.resource_reference_key, "resource_reference_key", NAMESPACE)
        page = self._service.list(list_request(request), namespace)
        return pb.ListPipelinesResponse(
            pipelines=map(_to_proto, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )

    def DeletePipelineV1(self, request: pb.DeletePipelineRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.id, cascade=True)
        return empty_pb2.Empty()

    def GetTemplate(self, request: pb.GetTemplateRequest, context: grpc.ServicerContext) -> pb.GetTemplateResponse:
        version = self._service.latest_version(request.id)
        if version is None:
            raise NotFoundError("PipelineVersion of pipeline", request.id)
        return pb.GetTemplateResponse(template=manifest(version.spec))

    def GetPipelineVersionV1(
        self, request: pb.GetPipelineVersionRequest, context: grpc.ServicerContext
    ) -> pb.PipelineVersion:
        return self._version(self._service.get_version(request.version_id))

    def ListPipelineVersionsV1(
        self, request: pb.ListPipelineVersionsRequest, context: grpc.ServicerContext
    ) -> pb.ListPipelineVersionsResponse:
        pipeline_id = list_filter_id(request.resource_key, "resource_key", PIPELINE, required=True)
        page = self._service.list_versions(pipeline_id, list_request(request))
        return pb.ListPipelineVersionsResponse(
            versions=map(self._version, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )

    def DeletePipelineVersionV1(
        self, request: pb.DeletePipelineVersionRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.delete_version(request.version_id)
        return empty_pb2.Empty()

    def GetPipelineVersionTemplate(
        self, request: pb.GetPipelineVersionTemplateRequest, context: grpc.ServicerContext
    ) -> pb.GetTemplateResponse:
        return pb.GetTemplateResponse(template=manifest(self._service.get_version(request.version_id).spec))

    def _with_version(self, pipeline: Pipeline) -> pb.Pipeline:
        message = _to_proto(pipeline)
        latest = self._service.latest_version(pipeline.pipeline_id)
        if latest is not None:
            message.default_version.CopyFrom(self._version(latest))
            message.parameters.extend(message.default_version.parameters)
        return message

    def _version(self, version: PipelineVersion) -> pb.PipelineVersion:
        message = pb.PipelineVersion(
            id=version.pipeline_version_id,
            name=version.display_name,
            created_at=timestamp(version.created_at),
            parameters=parameters(self._documents.compiled(version.spec)),
            code_source_url=version.code_source_url,
            resource_references=[reference(PIPELINE, version.pipeline_id, OWNER)],
            description=version.description,
        )
        if version.package_url:
            message.package_url.pipeline_url = version.package_url
        return message


def _to_proto(pipeline: Pipeline) -> pb.Pipeline:
    return pb.Pipeline(
        id=pipeline.pipeline_id,
        name=pipeline.display_name,
        description=pipeline.description,
        created_at=timestamp(pipeline.created_at),
        resource_references=namespace_references(pipeline.namespace),
    )
