"""TLS of every kind of port, by handshakes: who is trusted, what is refused, and certificates replaced under load."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import socket
import ssl
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from cryptography import x509
from penstock.tls_files import TlsFiles, TlsFilesError
from penstock_server.gateway import calls
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.rpc.access_control import credentials_of
from penstock_server.tls import ClientAuth, MinVersion, ServerTls

from tests.support.certificates import LOCAL, Authority

OPTIONS = ("--tls-cert", "--tls-key", "--tls-client-ca")
PORTS = ("http", "grpc", "dispatch")
HOUR = datetime.timedelta(hours=1)
CLIENT_NAMES = [x509.UniformResourceIdentifier("spiffe://here/executor"), x509.DNSName("executor")]


class Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """`/test/names` answers with the names of who calls; `/test/stream` gives numbers as long as `more` says so."""

    def __init__(self, more: threading.Event) -> None:
        self._more = more

    def service(self, details: Any) -> Any:
        if details.method == "/test/names":
            return grpc.unary_unary_rpc_method_handler(self._names)
        return grpc.unary_stream_rpc_method_handler(self._stream)

    def _names(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return json.dumps(credentials_of(context).certificate_names).encode()

    def _stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in itertools.count():
            yield str(number).encode()
            if self._more.wait(0.01):
                return


async def http_names(request: web.Request) -> web.Response:
    return web.json_response(calls.credentials(request).certificate_names)


@dataclass
class Ports:
    """All ports of a server with the certificate in `directory`."""

    numbers: dict[str, int]
    tls: ServerTls
    end_streams: threading.Event

    def names(self, port: str, trusted: bytes, own: tuple[bytes, bytes] | None = None) -> tuple[str, ...]:
        """What the port says of who calls it on a new connection. Raises OSError, grpc.RpcError."""
        return self._http(trusted, own) if port == "http" else self._grpc(port, trusted, own)

    def channel(self, port: str, trusted: bytes, own: tuple[bytes, bytes] | None = None) -> grpc.Channel:
        certificate, key = own or (None, None)
        credentials = grpc.ssl_channel_credentials(trusted, key, certificate)
        # Else a channel for the same address may take over a connection of another.
        return grpc.secure_channel(
            f"localhost:{self.numbers[port]}", credentials, [("grpc.use_local_subchannel_pool", 1)]
        )

    def _grpc(self, port: str, trusted: bytes, own: tuple[bytes, bytes] | None) -> tuple[str, ...]:
        with self.channel(port, trusted, own) as channel:
            return tuple(json.loads(channel.unary_unary("/test/names", None, None)(b"", timeout=10)))

    def _http(self, trusted: bytes, own: tuple[bytes, bytes] | None) -> tuple[str, ...]:
        context = ssl.create_default_context(cadata=trusted.decode())
        if own:
            load(context, own)
        address = f"https://localhost:{self.numbers['http']}/"
        with urllib.request.urlopen(address, context=context, timeout=10) as reply:
            return tuple(json.load(reply))

    def version(self, port: str, trusted: bytes, version: ssl.TLSVersion) -> str | None:
        """What a handshake of exactly this version agrees on. Raises OSError."""
        context = ssl.create_default_context(cadata=trusted.decode())
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        with pytest.warns(DeprecationWarning) if version < ssl.TLSVersion.TLSv1_2 else nothing():
            context.minimum_version = context.maximum_version = version
        return handshake(context, self.numbers[port])


@contextmanager
def nothing() -> Iterator[None]:
    yield


def handshake(context: ssl.SSLContext, port: int) -> str | None:
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.version()


def load(context: ssl.SSLContext, own: tuple[bytes, bytes]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(own))
        file.flush()
        context.load_cert_chain(file.name)


def write(directory: Path, pair: tuple[bytes, bytes], authority: bytes | None = None) -> TlsFiles:
    """Files that replace those of the same names, each at once."""
    contents = {"tls.crt": pair[0], "tls.key": pair[1], **({"ca.crt": authority} if authority else {})}
    for name, content in contents.items():
        fresh = directory / f"{name}.new"
        fresh.write_bytes(content)
        fresh.chmod(0o600)
        fresh.replace(directory / name)
    ca = directory / "ca.crt"
    return TlsFiles(directory / "tls.crt", directory / "tls.key", ca if ca.exists() else None, OPTIONS)


@contextmanager
def serving(
    files: TlsFiles, client_auth: ClientAuth = "none", min_version: MinVersion = "1.2", interval: float = 0.0
) -> Iterator[Ports]:
    tls = ServerTls(files, client_auth, min_version, interval=interval)
    end = threading.Event()
    servers, numbers = [], {}
    for port, credentials in (("grpc", tls.public_credentials()), ("dispatch", tls.dispatch_credentials())):
        server = grpc.server(ThreadPoolExecutor(8), handlers=[Handlers(end)])
        numbers[port] = server.add_secure_port("localhost:0", credentials)
        server.start()
        servers.append(server)
    app = web.Application()
    app.router.add_get("/", http_names)
    gateway = GatewayServer([Site(app, "localhost", 0, tls=tls.http_context())])
    numbers["http"] = gateway.start()[0]
    try:
        yield Ports(numbers, tls, end)
    finally:
        end.set()
        gateway.stop(1)
        for server in servers:
            server.stop(None).wait()


@pytest.fixture
def authority() -> Authority:
    return Authority()


REFUSED = (OSError, grpc.RpcError)


@pytest.mark.parametrize("port", PORTS)
def test_who_trusts_the_authority_is_answered_and_who_trusts_another_is_not(
    port: str, authority: Authority, tmp_path: Path
) -> None:
    with serving(write(tmp_path, authority.issue("server"))) as ports:
        assert ports.names(port, authority.certificate) == ()
        with pytest.raises(REFUSED, match=r"CERTIFICATE_VERIFY_FAILED|failed to connect"):
            ports.names(port, Authority("another").certificate)


@pytest.mark.parametrize("port", PORTS)
def test_an_expired_certificate_is_refused_by_callers_and_warned_of(
    port: str, authority: Authority, tmp_path: Path
) -> None:
    with serving(write(tmp_path, authority.issue("server", valid=-HOUR))) as ports:
        with pytest.raises(REFUSED, match=r"expired|failed to connect"):
            ports.names(port, authority.certificate)
        assert [text for text in ports.tls.problems(now()) if "no longer valid" in text]


def now() -> float:
    return datetime.datetime.now(datetime.timezone.utc).timestamp()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(("client_auth", "demanding"), [("none", ()), ("optional", ("dispatch",)), ("required", PORTS)])
def test_who_needs_a_certificate(
    port: str, client_auth: ClientAuth, demanding: tuple[str, ...], authority: Authority, tmp_path: Path
) -> None:
    clients = Authority("authority of clients")
    own = clients.issue("penstock-executor", CLIENT_NAMES)
    names = ("spiffe://here/executor", "executor", "penstock-executor")
    with serving(write(tmp_path, authority.issue("server"), clients.certificate), client_auth) as ports:
        asked = client_auth == "required" or (client_auth == "optional" and port != "grpc")
        assert ports.names(port, authority.certificate, own) == (names if asked else ())
        if port not in demanding:
            assert ports.names(port, authority.certificate) == ()
            return
        with pytest.raises(REFUSED):
            ports.names(port, authority.certificate)
        with pytest.raises(REFUSED):
            ports.names(port, authority.certificate, authority.issue("somebody", CLIENT_NAMES))
        with pytest.raises(REFUSED):
            ports.names(port, authority.certificate, clients.issue("late", CLIENT_NAMES, valid=-HOUR))


def test_a_certificate_of_another_authority_is_refused_where_none_is_needed(
    authority: Authority, tmp_path: Path
) -> None:
    clients = Authority("authority of clients")
    files = write(tmp_path, authority.issue("server"), clients.certificate)
    with serving(files, "optional") as ports, pytest.raises(OSError):
        ports.names("http", authority.certificate, authority.issue("somebody", CLIENT_NAMES))


@pytest.mark.parametrize("port", PORTS)
def test_old_versions_are_refused(port: str, authority: Authority, tmp_path: Path) -> None:
    with serving(write(tmp_path, authority.issue("server"))) as ports:
        with pytest.raises(OSError):
            ports.version(port, authority.certificate, ssl.TLSVersion.TLSv1_1)
        assert ports.version(port, authority.certificate, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert ports.version(port, authority.certificate, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_http_is_kept_to_the_newest_version(authority: Authority, tmp_path: Path) -> None:
    """gRPC's ports take a variable that is read when it is imported: tests/e2e/test_tls.py."""
    with serving(write(tmp_path, authority.issue("server")), min_version="1.3") as ports:
        with pytest.raises(OSError):
            ports.version("http", authority.certificate, ssl.TLSVersion.TLSv1_2)
        assert ports.version("http", authority.certificate, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


@pytest.mark.parametrize("port", PORTS)
def test_a_new_certificate_is_taken_and_a_broken_one_is_not(port: str, authority: Authority, tmp_path: Path) -> None:
    other = Authority("another")
    with serving(write(tmp_path, authority.issue("server"))) as ports:
        first = ports.tls.expires()
        (tmp_path / "tls.crt").write_bytes(authority.issue("server")[0][:300])
        assert ports.names(port, authority.certificate) == ()
        assert ports.tls.figures() == (first, 0, 1)
        # A certificate whose key is not there yet.
        write(tmp_path, (other.issue("server")[0], (tmp_path / "tls.key").read_bytes()))
        assert ports.names(port, authority.certificate) == ()
        assert ports.tls.figures() == (first, 0, 2)
        write(tmp_path, other.issue("server", valid=HOUR))
        assert ports.names(port, other.certificate) == ()
        with pytest.raises(REFUSED):
            ports.names(port, authority.certificate)
        expires, reloads, failures = ports.tls.figures()
        assert (reloads, failures) == (1, 2)
        assert abs(expires - now() - 3600) < 60


@pytest.mark.parametrize("port", PORTS)
def test_another_authority_of_clients_is_taken(port: str, authority: Authority, tmp_path: Path) -> None:
    before, after = Authority("before"), Authority("after")
    pair = authority.issue("server")
    old, new = before.issue("client", CLIENT_NAMES), after.issue("client", CLIENT_NAMES)
    with serving(write(tmp_path, pair, before.certificate), "required") as ports:
        assert ports.names(port, authority.certificate, old)
        write(tmp_path, pair, after.certificate)
        assert ports.names(port, authority.certificate, new)
        with pytest.raises(REFUSED):
            ports.names(port, authority.certificate, old)


class Rotation:
    """Replaces the files every 0.2 s, as Kubernetes does with a Secret: by a link that points to another directory."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._directory = directory
        self._authority = authority
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run)
        self.turn()
        self.files = TlsFiles(directory / "tls.crt", directory / "tls.key", None, OPTIONS)
        for name in ("tls.crt", "tls.key"):
            (directory / name).symlink_to(Path("..data") / name)

    def turn(self) -> None:
        self.rotations = next(self._numbers)
        target = self._directory / f"..{self.rotations}"
        target.mkdir()
        write(target, self._authority.issue("server"))
        link = self._directory / "..data_tmp"
        link.symlink_to(target.name)
        link.replace(self._directory / "..data")

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            self.turn()

    def __enter__(self) -> Rotation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_thousand_calls_and_open_streams_while_certificates_are_replaced(
    authority: Authority, tmp_path: Path
) -> None:
    rotation = Rotation(tmp_path, authority)
    with serving(rotation.files) as ports, rotation:
        streams = {}
        for port in ("grpc", "dispatch"):
            channel = ports.channel(port, authority.certificate)
            streams[port] = (channel, iter(channel.unary_stream("/test/stream", None, None)(b"")))
            assert next(streams[port][1]) == b"0"
        kept = ports.channel("grpc", authority.certificate)
        on_kept = kept.unary_unary("/test/names", None, None)

        def one(number: int) -> tuple[str, ...]:
            """Most calls are on connections of their own, so each is a handshake."""
            if number % 4 == 3:
                return tuple(json.loads(on_kept(b"", timeout=30)))
            return ports.names(PORTS[number % 4], authority.certificate)

        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(one, range(1000)))
        # At least as many turns as make the test what it says, and at least one more handshake after each.
        while rotation.rotations < 10:
            ports.names("http", authority.certificate)
        assert answers == [()] * 1000
        _, reloads, failures = ports.tls.figures()
        assert failures == 0
        assert 5 <= reloads <= rotation.rotations
        ports.end_streams.set()
        for channel, numbers in streams.values():
            received = [int(number) for number in numbers]
            assert received == list(range(1, len(received) + 1))
            assert len(received) > 50
            channel.close()
        kept.close()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: (d / "tls.crt").unlink(), r"--tls-cert: .*tls.crt: No such file"),
        (
            lambda d: (d / "tls.key").write_text("nothing"),
            r"--tls-cert, --tls-key: .*no certificate in PEM and its key",
        ),
        (lambda d: (d / "tls.key").write_bytes(Authority().issue("x")[1]), r"--tls-key: .*MISMATCH"),
        (lambda d: (d / "ca.crt").write_text("nothing"), r"--tls-client-ca: .*ca.crt: no certificates in PEM"),
    ],
)
def test_what_is_wrong_is_said_by_the_option(
    spoil: Callable[[Path], object], says: str, authority: Authority, tmp_path: Path
) -> None:
    files = write(tmp_path, authority.issue("server"), authority.certificate)
    spoil(tmp_path)
    with pytest.raises(TlsFilesError, match=says):
        ServerTls(files, "required", "1.2")


def test_options_that_need_others(authority: Authority, tmp_path: Path) -> None:
    files = write(tmp_path, authority.issue("server"))
    with pytest.raises(TlsFilesError, match="--tls-cert, --tls-key: one needs the other"):
        TlsFiles(files.certificate, None, None, OPTIONS).read()
    with pytest.raises(TlsFilesError, match="--tls-cert, --tls-key: are needed"):
        ServerTls(TlsFiles(None, None, files.certificate, OPTIONS), "required", "1.2")
    with pytest.raises(TlsFilesError, match="--tls-client-ca: is needed"):
        ServerTls(files, "optional", "1.2")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, ""), (0o400, ""), (0o640, "its group"), (0o604, "everybody")])
def test_a_key_that_others_may_use_is_warned_of(mode: int, warned: str, authority: Authority, tmp_path: Path) -> None:
    files = write(tmp_path, authority.issue("server"))
    assert files.key is not None
    files.key.chmod(mode)
    problems = ServerTls(files, "none", "1.2").problems(now())
    assert bool(problems) == bool(warned)
    assert all("--tls-key" in text and warned in text for text in problems)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_key_that_is_read_by_its_group_alone_is_as_kubernetes_mounts_it(authority: Authority, tmp_path: Path) -> None:
    files = write(tmp_path, authority.issue("server"))
    assert files.key is not None
    os.chown(files.key, 65532, 0)
    files.key.chmod(0o440)
    assert ServerTls(files, "none", "1.2").problems(now()) == []


def test_names_of_every_kind_come_before_the_common_name(authority: Authority, tmp_path: Path) -> None:
    given = [*LOCAL, x509.RFC822Name("a@example.com"), *CLIENT_NAMES]
    own = authority.issue("common", given)
    with serving(write(tmp_path, authority.issue("server"), authority.certificate), "required") as ports:
        wanted = ("localhost", "127.0.0.1", "a@example.com", "spiffe://here/executor", "executor", "common")
        assert {ports.names(port, authority.certificate, own) for port in PORTS} == {wanted}
