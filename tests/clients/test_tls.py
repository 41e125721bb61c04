"""The Python client over TLS: with the right authority, with none, and with another's."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import experiment_pb2, experiment_pb2_grpc


class _Experiments(experiment_pb2_grpc.ExperimentServiceServicer):
    def ListExperiments(
        self, request: experiment_pb2.ListExperimentsRequest, context: grpc.ServicerContext
    ) -> experiment_pb2.ListExperimentsResponse:
        page = int(request.page_token or 0)
        found = [experiment_pb2.Experiment(display_name=f"{page}")]
        return experiment_pb2.ListExperimentsResponse(experiments=found, next_page_token="1" if page == 0 else "")


def certificate() -> tuple[bytes, bytes]:
    """Key and certificate (PEM) of `localhost`, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return plain, signed.public_bytes(pem)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, bytes]]:
    """Its target, and the certificate to trust."""
    key, signed = certificate()
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
def test_who_is_not_trusted_is_not_spoken_to(server: tuple[str, bytes], trusted: str) -> None:
    other = certificate()[1] if trusted == "another" else None
    with Client(server[0], ca_certificate=other, tls=trusted != "plain text", deadline=5) as client:
        with pytest.raises(ClientError) as refused:
            client.call(client.experiments.ListExperiments, experiment_pb2.ListExperimentsRequest())
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
