"""PipelineService and PipelineUploadService over gRPC: converts, calls the use cases in `services`, converts back."""

from __future__ import annotations

from dataclasses import replace

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1 import upload_pb2, upload_pb2_grpc
from penstock_api.v2beta1 import pipeline_pb2 as pb
from penstock_api.v2beta1 import pipeline_pb2_grpc

from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert import pipelines as convert
from penstock_server.rpc.convert.common import list_request
from penstock_server.rpc.field_masks import current_mask
from penstock_server.services.pipelines import Naming, PipelineService


class PipelineServicer(pipeline_pb2_grpc.PipelineServiceServicer):
    def __init__(self, service: PipelineService) -> None:
        self._service = service

    def CreatePipeline(self, request: pb.CreatePipelineRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        return convert.to_proto(self._service.create(_naming(request.pipeline)))

    def GetPipeline(self, request: pb.GetPipelineRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        return convert.to_proto(self._service.get(request.pipeline_id))

    def GetPipelineByName(self, request: pb.GetPipelineByNameRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        return convert.to_proto(self._service.get_by_name(request.name, request.namespace))

    def ListPipelines(
        self, request: pb.ListPipelinesRequest, context: grpc.ServicerContext
    ) -> pb.ListPipelinesResponse:
        page = self._service.list(list_request(request), request.namespace)
        return pb.ListPipelinesResponse(
            pipelines=map(convert.to_proto, page.items),
            total_size=page.total_size,
            next_page_token=page.next_page_token,
        )

    def DeletePipeline(self, request: pb.DeletePipelineRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.pipeline_id, cascade=request.cascade)
        return empty_pb2.Empty()

    def CreatePipelineAndVersion(
        self, request: pb.CreatePipelineAndVersionRequest, context: grpc.ServicerContext
    ) -> pb.Pipeline:
        version = request.pipeline_version
        created = self._service.create_with_version(
            _naming(request.pipeline), _version_naming(version), version.package_url.pipeline_url
        )
        return convert.to_proto(created)

    def CreatePipelineVersion(
        self, request: pb.CreatePipelineVersionRequest, context: grpc.ServicerContext
    ) -> pb.PipelineVersion:
        version = request.pipeline_version
        if not version.pipeline_id:
            raise InvalidArgumentError("it is required in the body as well", "pipeline_version.pipeline_id")
        created = self._service.create_version(
            request.pipeline_id or version.pipeline_id, _version_naming(version), version.package_url.pipeline_url
        )
        return convert.version_to_proto(created)

    def GetPipelineVersion(
        self, request: pb.GetPipelineVersionRequest, context: grpc.ServicerContext
    ) -> pb.PipelineVersion:
        return convert.version_to_proto(
            self._service.get_version(request.pipeline_version_id, documents=current_mask().wants("pipeline_spec"))
        )

    def ListPipelineVersions(
        self, request: pb.ListPipelineVersionsRequest, context: grpc.ServicerContext
    ) -> pb.ListPipelineVersionsResponse:
        page = self._service.list_versions(
            request.pipeline_id,
            list_request(request),
            documents=current_mask().under("pipeline_versions").wants("pipeline_spec"),
        )
        return pb.ListPipelineVersionsResponse(
            pipeline_versions=map(convert.version_to_proto, page.items),
            total_size=page.total_size,
            next_page_token=page.next_page_token,
        )

    def DeletePipelineVersion(
        self, request: pb.DeletePipelineVersionRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.delete_version(request.pipeline_version_id)
        return empty_pb2.Empty()

    def UpdatePipeline(self, request: pb.UpdatePipelineRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        pipeline = request.pipeline
        return convert.to_proto(
            self._service.update(
                pipeline.pipeline_id, pipeline.display_name, dict(pipeline.tags), clear_tags=_clears_tags(context)
            )
        )

    def UpdatePipelineVersion(
        self, request: pb.UpdatePipelineVersionRequest, context: grpc.ServicerContext
    ) -> pb.PipelineVersion:
        version = request.pipeline_version
        return convert.version_to_proto(
            self._service.update_version(
                version.pipeline_version_id,
                version.display_name,
                dict(version.tags),
                clear_tags=_clears_tags(context),
            )
        )


class PipelineUploadServicer(upload_pb2_grpc.PipelineUploadServiceServicer):
    def __init__(self, service: PipelineService) -> None:
        self._service = service

    def UploadPipeline(self, request: upload_pb2.UploadPipelineRequest, context: grpc.ServicerContext) -> pb.Pipeline:
        return convert.to_proto(
            self._service.upload(replace(_upload_naming(request), namespace=request.namespace), request.content)
        )

    def UploadPipelineVersion(
        self, request: upload_pb2.UploadPipelineVersionRequest, context: grpc.ServicerContext
    ) -> pb.PipelineVersion:
        created = self._service.upload_version(request.pipeline_id, _upload_naming(request), request.content)
        return convert.version_to_proto(created)


def _naming(pipeline: pb.Pipeline) -> Naming:
    return Naming(
        pipeline.name,
        pipeline.display_name,
        pipeline.description,
        dict(pipeline.tags),
        namespace=pipeline.namespace,
    )


def _version_naming(version: pb.PipelineVersion) -> Naming:
    return Naming(
        version.name,
        version.display_name,
        version.description,
        dict(version.tags),
        code_source_url=version.code_source_url,
    )


def _upload_naming(request: upload_pb2.UploadPipelineRequest | upload_pb2.UploadPipelineVersionRequest) -> Naming:
    return Naming(
        request.name,
        request.display_name,
        request.description,
        dict(request.tags),
        request.file_name,
        request.code_source_url,
    )


def _clears_tags(context: grpc.ServicerContext) -> bool:
    """Whether the caller wants all tags removed, which an empty map in the message cannot say (api.md §2.1)."""
    return any(key == "x-clear-tags" and value == "true" for key, value in context.invocation_metadata() or ())
