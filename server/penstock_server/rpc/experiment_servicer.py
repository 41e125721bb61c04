"""ExperimentService over gRPC: converts, calls the use cases in `services`, converts back."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v2beta1 import experiment_pb2 as pb
from penstock_api.v2beta1 import experiment_pb2_grpc

from penstock_server.rpc.convert import experiments as convert
from penstock_server.rpc.convert.common import list_request
from penstock_server.services.experiments import ExperimentService


class ExperimentServicer(experiment_pb2_grpc.ExperimentServiceServicer):
    def __init__(self, service: ExperimentService) -> None:
        self._service = service

    def CreateExperiment(self, request: pb.CreateExperimentRequest, context: grpc.ServicerContext) -> pb.Experiment:
        experiment = request.experiment
        created = self._service.create(experiment.display_name, experiment.description, experiment.namespace)
        return convert.to_proto(created)

    def GetExperiment(self, request: pb.GetExperimentRequest, context: grpc.ServicerContext) -> pb.Experiment:
        return convert.to_proto(self._service.get(request.experiment_id))

    def ListExperiments(
        self, request: pb.ListExperimentsRequest, context: grpc.ServicerContext
    ) -> pb.ListExperimentsResponse:
        page = self._service.list(list_request(request), request.namespace)
        return pb.ListExperimentsResponse(
            experiments=map(convert.to_proto, page.items),
            total_size=page.total_size,
            next_page_token=page.next_page_token,
        )

    def ArchiveExperiment(self, request: pb.ArchiveExperimentRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.archive(request.experiment_id)
        return empty_pb2.Empty()

    def UnarchiveExperiment(
        self, request: pb.UnarchiveExperimentRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.unarchive(request.experiment_id)
        return empty_pb2.Empty()

    def DeleteExperiment(self, request: pb.DeleteExperimentRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.experiment_id)
        return empty_pb2.Empty()
