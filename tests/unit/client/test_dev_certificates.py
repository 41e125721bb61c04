"""Certificates for one's own machine: made once, renewed in time, for their owner alone, good for strict clients."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from penstock.cli.certs import certs
from penstock.dev_certificates import DevFiles, ensure

NOW = datetime.datetime.now(datetime.timezone.utc)
DAYS = datetime.timedelta(days=1)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def names(path: Path) -> set[str]:
    found = x509.load_pem_x509_certificate(path.read_bytes()).extensions
    return {str(one.value) for one in found.get_extension_for_class(x509.SubjectAlternativeName).value}


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    made = ensure(tmp_path / "certs", now=NOW)
    assert made.made == ("authority", "server", "client")
    before = contents(tmp_path / "certs")
    assert ensure(tmp_path / "certs", now=NOW).made == ()
    assert contents(tmp_path / "certs") == before
    assert set(before) == {"ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"}


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    ensure(tmp_path / "certs")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "certs").iterdir()}
    assert {name: mode for name, mode in modes.items() if name.endswith(".key")} == dict.fromkeys(
        ("ca.key", "server.key", "client.key"), 0o600
    )
    assert stat.S_IMODE((tmp_path / "certs").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("days", "made"), [(50, ()), (70, ("server", "client")), (3000, ("authority", "server", "client"))]
)
def test_what_comes_near_its_end_is_renewed(days: int, made: tuple[str, ...], tmp_path: Path) -> None:
    ensure(tmp_path, ["one.example"], NOW)
    files = ensure(tmp_path, now=NOW + days * DAYS)
    assert files.made == made
    assert "one.example" in names(files.server)


@pytest.mark.parametrize(
    ("spoil", "made"),
    [
        ("ca.key", ("authority", "server", "client")),
        ("ca.crt", ("authority", "server", "client")),
        ("server.key", ("server",)),
        ("client.crt", ("client",)),
    ],
)
@pytest.mark.parametrize("gone", [True, False])
def test_what_is_spoilt_is_made_again(spoil: str, made: tuple[str, ...], gone: bool, tmp_path: Path) -> None:
    ensure(tmp_path)
    (tmp_path / spoil).unlink() if gone else (tmp_path / spoil).write_text("nothing")
    assert ensure(tmp_path).made == made
    assert ensure(tmp_path).made == ()


def test_the_server_has_the_names_of_this_machine_and_those_given(tmp_path: Path) -> None:
    own = {"localhost", "127.0.0.1", "::1", socket.gethostname()}
    assert names(ensure(tmp_path).server) == own
    files = ensure(tmp_path, ["build-box.example.com", "*.example.org", "10.1.2.3"])
    assert files.made == ("server",)
    assert names(files.server) == own | {"build-box.example.com", "*.example.org", "10.1.2.3"}
    assert ensure(tmp_path, ["10.1.2.3"]).made == ()


@pytest.mark.parametrize("name", ["", "a b", "host:80", "https://host", "naïve"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a host name nor an address"):
        ensure(tmp_path, [name])


def handshake(files: DevFiles, host: str, *, strict: bool) -> str:
    """The common name that the server sees of the client, both in memory. Raises ssl.SSLError."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.authority)
    server.load_cert_chain(files.server, files.server_key)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=files.authority)
    client.load_cert_chain(files.client, files.client_key)
    if strict:
        for context in (server, client):
            context.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there, server_hostname=host), server.wrap_bio(there, back, server_side=True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    subject = ends[1].getpeercert()
    assert subject is not None
    return str(subject["subject"][0][0][1])


@pytest.mark.parametrize("strict", [False, True], ids=["usual", "strict, as Python 3.13"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_both_sides_accept_each_other(host: str, strict: bool, tmp_path: Path) -> None:
    assert handshake(ensure(tmp_path), host, strict=strict) == "penstock-client"


def test_another_name_is_not_accepted(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(ensure(tmp_path), "other.example", strict=False)


def test_the_command_says_what_it_made_and_how_it_is_used(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    done = CliRunner().invoke(certs, ["dev", "--dir", str(directory), "--name", "10.1.2.3"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"authority, server, client made in {directory}\n")
    assert f"--tls-ca {directory}/ca.crt --tls-cert {directory}/client.crt" in done.output
    assert str(ipaddress.ip_address("10.1.2.3")) in names(directory / "server.crt")
    assert CliRunner().invoke(certs, ["dev", "--dir", str(directory)]).output.startswith("nothing made in ")
    refused = CliRunner().invoke(certs, ["dev", "--dir", str(directory), "--name", "a b"])
    assert refused.exit_code == 2
    assert "--name: 'a b' is neither a host name nor an address" in refused.output
