"""TLS between all programs: the unmodified SDK, the commands and an executor, over ports that speak it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import grpc
import kfp
import pytest
from cryptography import x509
from penstock.client import Client
from penstock.secret_file import SecretFile
from penstock_api.internal.v1 import dispatch_pb2, dispatch_pb2_grpc
from penstock_api.v2beta1 import run_pb2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.certificates import LOCAL, Authority
from tests.support.replicas import Program
from tools.embedded import PENSTOCK, Embedded
from tools.ports import free_port
from tools.testing import runs, specs


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    with Embedded(tmp_path_factory.mktemp("tls"), "--tls", environments=environments) as up:
        yield up


def file(up: Embedded, name: str) -> Path:
    return up.data_dir / "certs" / name


def own(up: Embedded) -> tuple[bytes, bytes]:
    return file(up, "client.crt").read_bytes(), file(up, "client.key").read_bytes()


def penstock(
    up: Embedded, *arguments: str, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [PENSTOCK, *arguments, "--server", up.grpc]
    environment = {**os.environ, **(variables or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_the_sdk_runs_a_pipeline_and_its_lineage_is_recorded(secure: Embedded) -> None:
    """The executor and its recorder use the port of executors, where each shows its certificate."""
    assert secure.http.startswith("https://")
    sdk = kfp.Client(host=secure.http, ssl_ca_cert=str(file(secure, "ca.crt")))
    package = str(specs.COMPILED / "artifact_passing.yaml")
    run_id = sdk.create_run_from_pipeline_package(package, arguments={"content": "over TLS"}).run_id
    assert sdk.wait_for_run_completion(run_id, timeout=120, sleep_duration=0.2).state == "SUCCEEDED"
    ca = file(secure, "ca.crt").read_bytes()
    with Client(secure.grpc, ca_certificate=ca) as client:
        runs.until(
            lambda: [task.execution_id for task in runs.tasks(client, run_id).values()], lambda ids: ids and all(ids)
        )


def test_commands_trust_what_they_are_told_to(secure: Embedded) -> None:
    ca = str(file(secure, "ca.crt"))
    assert penstock(secure, "runs", "list", "--ca-file", ca).returncode == 0
    assert penstock(secure, "runs", "list", variables={"PENSTOCK_CA_FILE": ca}).returncode == 0
    shown = ("--client-cert", str(file(secure, "client.crt")), "--client-key", str(file(secure, "client.key")))
    assert penstock(secure, "runs", "list", "--ca-file", ca, *shown).returncode == 0
    found = json.loads(penstock(secure, "doctor", "--ca-file", ca, "--json").stdout)
    assert {one["level"] for one in found if one["check"] in ("server", "database")} == {"ok"}


@pytest.mark.parametrize("options", [(), ("--tls",)])
def test_commands_trust_nobody_else(secure: Embedded, options: Sequence[str]) -> None:
    done = penstock(secure, "run", str(specs.COMPILED / "static_loop.yaml"), *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_mistakes_with_files_name_the_option(secure: Embedded, tmp_path: Path) -> None:
    done = penstock(secure, "runs", "list", "--ca-file", str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert f"--ca-file: {tmp_path}/nothing: No such file" in done.stderr
    done = penstock(secure, "runs", "list", "--client-cert", str(file(secure, "client.crt")))
    assert done.returncode == 2
    assert "--client-cert, --client-key: one needs the other" in done.stderr


def answer(address: str, ca: bytes, shown: tuple[bytes, bytes] | None, secret: str = "") -> str:
    """What the port of executors answers who shows this."""
    metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
    with Client(address, ca_certificate=ca, client_certificate=shown) as client:
        stub = dispatch_pb2_grpc.DispatchServiceStub(client.channel)
        try:
            stub.FilterRuns(dispatch_pb2.FilterRunsRequest(), timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            return str(cast(grpc.Call, error).code().name)
    return "OK"


def test_nobody_plays_the_executor_without_a_certificate(secure: Embedded) -> None:
    ca, secret = file(secure, "ca.crt").read_bytes(), SecretFile(secure.data_dir / "dispatch.key").newest()
    assert answer(secure.dispatch, ca, own(secure), secret) == "OK"
    assert answer(secure.dispatch, ca, own(secure)) == "UNAUTHENTICATED"
    # No handshake comes to an end.
    assert answer(secure.dispatch, ca, None, secret) == "UNAVAILABLE"
    assert answer(secure.dispatch, ca, Authority().issue("penstock-executor"), secret) == "UNAVAILABLE"


def test_a_certificate_is_what_an_executor_proves_itself_by(tmp_path: Path) -> None:
    authority, address = Authority(), f"localhost:{free_port()}"
    contents = {"ca.crt": authority.certificate}
    for name in ("server", "executor"):
        contents[f"{name}.crt"], contents[f"{name}.key"] = authority.issue(name, LOCAL if name == "server" else ())
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    paths = {name: str(tmp_path / name) for name in contents}
    server = Program(
        "server",
        [
            "penstock_server.main", "--data-dir", str(tmp_path), "--dispatch", address, "--grpc", "localhost:0",
            "--http", "localhost:0", "--tls-cert", paths["server.crt"], "--tls-key", paths["server.key"],
            "--tls-client-ca", paths["ca.crt"], "--executor-auth", "certificate",
            "--executor-certificate-name", "executor",
        ],
        tmp_path,
        os.environ,
    )  # fmt: skip
    executor = Program(
        "executor",
        [
            "penstock_executor.main", "--data-dir", str(tmp_path), "--server", address, "--tls-ca", paths["ca.crt"],
            "--tls-cert", paths["executor.crt"], "--tls-key", paths["executor.key"],
        ],
        tmp_path,
        os.environ,
    )  # fmt: skip
    try:
        server.start()
        server.ready()
        executor.start()
        executor.ready()
        ca = authority.certificate
        assert answer(address, ca, (contents["executor.crt"], contents["executor.key"])) == "OK"
        assert answer(address, ca, authority.issue("another", ())) == "UNAUTHENTICATED"
        assert answer(address, ca, None) == "UNAVAILABLE"
    finally:
        executor.terminate()
        server.terminate()


def served(up: Embedded) -> x509.Certificate:
    context = ssl.create_default_context(cafile=file(up, "ca.crt"))
    host, _, port = up.http.partition("://")[2].rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def figures(up: Embedded) -> dict[str, float]:
    context = ssl.create_default_context(cafile=file(up, "ca.crt"))
    with urllib.request.urlopen(f"{up.http}/metrics", context=context) as reply:
        text = reply.read().decode()
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def test_a_renewed_certificate_is_served_without_a_restart(secure: Embedded) -> None:
    before = served(secure)
    process = secure.child("penstock_server").pid
    file(secure, "server.crt").unlink()
    made = penstock_certs(file(secure, ""))
    assert "server made" in made
    after = runs.until(lambda: served(secure), lambda found: found != before)
    assert secure.child("penstock_server").pid == process
    found = figures(secure)
    assert found["penstock_tls_certificate_expiry_seconds"] == after.not_valid_after_utc.timestamp()
    assert found["penstock_tls_reloads_total"] == 1
    file(secure, "server.key").write_text("half a key")
    runs.until(lambda: figures(secure)["penstock_tls_reload_failures_total"], lambda count: count == 1)
    assert served(secure) == after
    assert "those before stay in use: --tls-cert, --tls-key" in secure.log_file.read_text()
    penstock_certs(file(secure, ""))
    runs.until(lambda: figures(secure)["penstock_tls_reloads_total"], lambda count: count == 2)


def penstock_certs(directory: Path) -> str:
    command = [PENSTOCK, "certs", "dev", "--dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_every_port_is_kept_to_the_newest_version(tmp_path: Path) -> None:
    penstock_certs(tmp_path / "certs")
    ports = {name: f"localhost:{free_port()}" for name in ("http", "grpc", "dispatch")}
    server = Program(
        "server",
        [
            "penstock_server.main", "--data-dir", str(tmp_path), "--tls-min-version", "1.3",
            *[word for name, address in ports.items() for word in (f"--{name}", address)],
            "--tls-cert", str(tmp_path / "certs" / "server.crt"), "--tls-key", str(tmp_path / "certs" / "server.key"),
        ],
        tmp_path,
        os.environ,
    )  # fmt: skip
    server.start()
    try:
        server.ready()
        agreed = {
            (name, version.name): agree(address, tmp_path / "certs" / "ca.crt", version)
            for name, address in ports.items()
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        }
        assert agreed == {key: "TLSv1.3" if key[1] == "TLSv1_3" else None for key in agreed}
        with Client(ports["grpc"], ca_certificate=(tmp_path / "certs" / "ca.crt").read_bytes()) as client:
            client.call(client.runs.ListRuns, run_pb2.ListRunsRequest())
    finally:
        server.terminate()


def agree(address: str, ca: Path, version: ssl.TLSVersion) -> str | None:
    """The version of a handshake of exactly this one; None when it fails."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            return connection.version()
    except OSError:
        return None


@pytest.mark.parametrize(
    ("program", "options", "says"),
    [
        ("penstock_server", ["--tls-cert", "{}/nothing", "--tls-key", "{}/nothing"], "--tls-cert: {}/nothing: No such"),
        ("penstock_server", ["--tls-client-auth", "required"], "--tls-cert, --tls-key: are needed for TLS"),
        (
            "penstock_server",
            ["--executor-auth", "certificate", "--executor-certificate-name", "executor"],
            "--executor-auth certificate needs --tls-client-ca",
        ),
        ("penstock_executor", ["--tls-ca", "{}/nothing"], "--tls-ca: {}/nothing: No such file"),
        ("penstock_executor", ["--tls-cert", "{}/nothing", "--tls-key", "{}/nothing"], "--tls-ca: is needed for TLS"),
    ],
)
def test_programs_say_what_is_wrong_with_their_files(
    program: str, options: Sequence[str], says: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", f"{program}.main", "--data-dir", str(tmp_path)]
    done = subprocess.run(
        [*command, *[word.format(tmp_path) for word in options]], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 2
    assert says.format(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
