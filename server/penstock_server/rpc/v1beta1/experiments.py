"""api.ExperimentService."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1beta1 import experiment_pb2 as pb
from penstock_api.v1beta1 import experiment_pb2_grpc

from penstock_server.domain.experiment import ARCHIVED, Experiment
from penstock_server.rpc.convert.common import list_request, timestamp
from penstock_server.rpc.v1beta1.common import NAMESPACE, list_filter_id, namespace_of_new, namespace_references
from penstock_server.services.experiments import ExperimentService


class ExperimentServicerV1(experiment_pb2_grpc.ExperimentServiceServicer):
    def __init__(self, service: ExperimentService) -> None:
        self._service = service

    def CreateExperimentV1(self, request: pb.CreateExperimentRequest, context: grpc.ServicerContext) -> pb.Experiment:
        experiment = request.experiment
        namespace = namespace_of_new(experiment.resource_references, "experiment.resource_references")
        return _to_proto(self._service.create(experiment.name, experiment.description, namespace))

    def GetExperimentV1(self, request: pb.GetExperimentRequest, context: grpc.ServicerContext) -> pb.Experiment:
        return _to_proto(self._service.get(request.id))

    def ListExperimentsV1(
        self, request: pb.ListExperimentsRequest, context: grpc.ServicerContext
    ) -> pb.ListExperimentsResponse:
        namespace = list_filter_id(request.resource_reference_key, "resource_reference_key", NAMESPACE)
        page = self._service.list(list_request(request), namespace)
        return pb.ListExperimentsResponse(
            experiments=map(_to_proto, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )

    def DeleteExperimentV1(self, request: pb.DeleteExperimentRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.id)
        return empty_pb2.Empty()

    def ArchiveExperimentV1(
        self, request: pb.ArchiveExperimentRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.archive(request.id)
        return empty_pb2.Empty()

    def UnarchiveExperimentV1(
        self, request: pb.UnarchiveExperimentRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.unarchive(request.id)
        return empty_pb2.Empty()


def _to_proto(experiment: Experiment) -> pb.Experiment:
    archived = experiment.storage_state == ARCHIVED
    return pb.Experiment(
        id=experiment.experiment_id,
        name=experiment.name,
        description=experiment.description,
        created_at=timestamp(experiment.created_at),
        resource_references=namespace_references(experiment.namespace),
        storage_state=pb.Experiment.STORAGESTATE_ARCHIVED if archived else pb.Experiment.STORAGESTATE_AVAILABLE,
    )
