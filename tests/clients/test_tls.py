"""The clients over TLS: with the right authority, with none, with another's, and with certificates of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import experiment_pb2, experiment_pb2_grpc, run_pb2, run_pb2_grpc

from tests.clients.programs import GO, TYPESCRIPT, run
from tests.support.certificates import LOCAL, Authority, self_signed


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


@pytest.fixture(scope="module")
def demanding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server that asks for certificates: its target, and a directory with ca.crt, client.crt, client.key."""
    authority, directory = Authority(), tmp_path_factory.mktemp("mutual")
    certificate, key = authority.issue("server", LOCAL)
    own = authority.issue("client", [x509.DNSName("client")])
    for name, content in zip(("ca.crt", "client.crt", "client.key"), (authority.certificate, *own), strict=True):
        (directory / name).write_bytes(content)
    made = grpc.server(ThreadPoolExecutor(2))
    run_pb2_grpc.add_RunServiceServicer_to_server(_Runs(), made)  # type: ignore[abstract]
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority.certificate, True)
    port = made.add_secure_port("localhost:0", credentials)
    made.start()
    yield f"localhost:{port}", directory
    made.stop(None).wait()


class _Runs(run_pb2_grpc.RunServiceServicer):
    def ListRuns(self, request: run_pb2.ListRunsRequest, context: grpc.ServicerContext) -> run_pb2.ListRunsResponse:
        names: Any = context.auth_context()["x509_common_name"]
        caller = names[0].decode()
        return run_pb2.ListRunsResponse(runs=[run_pb2.Run(run_id="1", display_name=f"seen by {caller}")])


def test_python_shows_its_certificate(demanding: tuple[str, Path]) -> None:
    target, files = demanding
    ca, cert, key = ((files / name).read_bytes() for name in ("ca.crt", "client.crt", "client.key"))
    with Client(target, ca_certificate=ca, client_certificate=(cert, key)) as client:
        assert [one.display_name for one in client.list_runs()] == ["seen by client"]
    with Client(target, ca_certificate=ca, deadline=5) as client, pytest.raises(ClientError):
        list(client.list_runs())


def test_go_shows_its_certificate(demanding: tuple[str, Path]) -> None:
    target, files = demanding
    command = ("go", "run", "./examples/list_runs", "-server", target, "-ca-file", str(files / "ca.crt"))
    shown = ("-client-cert", str(files / "client.crt"), "-client-key", str(files / "client.key"))
    assert "seen by client" in run(GO, *command, *shown)
    with pytest.raises(AssertionError, match="Unavailable"):
        run(GO, *command)


def test_typescript_shows_its_certificate(demanding: tuple[str, Path], built: Path) -> None:
    target, files = demanding
    command = ("node", str(built / "examples" / "list_runs.js"), f"https://{target}", str(files / "ca.crt"))
    shown = (str(files / "client.crt"), str(files / "client.key"))
    assert "seen by client" in run(TYPESCRIPT, *command, *shown)
    with pytest.raises(AssertionError, match="ConnectError"):
        run(TYPESCRIPT, *command)
