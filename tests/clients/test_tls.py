"""The Python client over TLS: with the right authority, with none, and with another's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import experiment_pb2, experiment_pb2_grpc

from tests.support.certificates import self_signed


class _Experiments(experiment_pb2_grpc.ExperimentServiceServicer):
    def ListExperiments(
        self, request: experiment_pb2.ListExperimentsRequest, context: grpc.ServicerContext
    ) -> experiment_pb2.ListExperimentsResponse:
        page = int(request.page_token or 0)
        found = [experiment_pb2.Experiment(display_name=f"{page}")]
        return experiment_pb2.ListExperimentsResponse(experiments=found, next_page_token="1" if page == 0 else "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, bytes]]:
    """Its target, and the certificate to trust."""
    files = self_signed(tmp_path_factory.mktemp("tls"), [x509.DNSName("localhost")])
    signed, key = (file.read_bytes() for file in files)
    made = grpc.server(ThreadPoolExecutor(2))
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(_Experiments(), made)  # type: ignore[abstract]
    port = made.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, signed)]))
    made.start()
    yield f"localhost:{port}", signed
    made.stop(None).wait()


def test_an_authority_of_ones_own(server: tuple[str, bytes]) -> None:
    target, signed = server
    with Client(target, ca_certificate=signed) as client:
        assert [one.display_name for one in client.list_experiments()] == ["0", "1"]


@pytest.mark.parametrize("trusted", ["nothing", "another", "plain text"])
def test_who_is_not_trusted_is_not_spoken_to(server: tuple[str, bytes], tmp_path: Path, trusted: str) -> None:
    other = self_signed(tmp_path)[0].read_bytes() if trusted == "another" else None
    with Client(server[0], ca_certificate=other, tls=trusted != "plain text", deadline=5) as client:
        with pytest.raises(ClientError) as refused:
            client.call(client.experiments.ListExperiments, experiment_pb2.ListExperimentsRequest())
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
