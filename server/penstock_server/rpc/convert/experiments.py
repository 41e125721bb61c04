"""Experiments."""

from __future__ import annotations

from penstock_api.v2beta1 import experiment_pb2 as pb

from penstock_server.domain.experiment import Experiment
from penstock_server.rpc.convert.common import timestamp


def to_proto(experiment: Experiment) -> pb.Experiment:
    return pb.Experiment(
        experiment_id=experiment.experiment_id,
        display_name=experiment.name,
        description=experiment.description,
        created_at=timestamp(experiment.created_at),
        namespace=experiment.namespace,
        storage_state=experiment.storage_state,
        last_run_created_at=timestamp(experiment.last_run_created_at),
    )
