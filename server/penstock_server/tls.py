"""TLS of the server's ports, and the names in the certificates of those who call.

Why one object for all ports: they have one certificate, and a new one is taken by all of them at once. A handshake
takes what is newest, connections that are open go on as they are.

Invariants: certificates are read by `Watched`, so what is in use fits together. A port for which clients' certificates
are required completes no handshake without one. What a certificate says is read only after its signature was checked.
The oldest version of TLS is that of `min_version` for HTTP; for gRPC `tls_versions` sees to it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID
from penstock.tls_files import TlsFiles, TlsFilesError
from penstock.watched_files import INTERVAL_SECONDS, Watched

ClientAuth = Literal["none", "optional", "required"]
MinVersion = Literal["1.2", "1.3"]
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_HTTP_MODES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True)
class _Loaded:
    http: ssl.SSLContext
    grpc: grpc.ServerCertificateConfiguration
    expires: float


class ServerTls:
    """The certificate of the files, for every port. Raises TlsFilesError when it cannot be used.

    `client_auth` says what is asked of callers; other than "none" needs authorities among the files.
    """

    def __init__(
        self, files: TlsFiles, client_auth: ClientAuth, min_version: MinVersion, *, interval: float = INTERVAL_SECONDS
    ) -> None:
        if files.certificate is None or files.key is None:
            raise TlsFilesError(f"{files.options[0]}, {files.options[1]}: are needed for TLS")
        if client_auth != "none" and files.authorities is None:
            raise TlsFilesError(f"{files.options[2]}: is needed to check the certificates of clients")
        self._files = files
        self._client_auth = client_auth
        self._min_version = min_version
        self._watched = Watched("certificates", files.paths(), self._load, interval=interval)

    def http_context(self) -> ssl.SSLContext:
        """For the HTTP port, once: every handshake is handed on to the context of the newest files."""

        def newest(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self._watched.current().http

        first = self._load().http
        first.sni_callback = newest  # type: ignore[assignment,unused-ignore]
        return first

    def public_credentials(self) -> grpc.ServerCredentials:
        """For the gRPC port of everybody. gRPC for Python cannot ask for a certificate that may be missing."""
        return self._credentials(required=self._client_auth == "required")

    def dispatch_credentials(self) -> grpc.ServerCredentials:
        """For the port of executors, who all have a certificate where clients' certificates are asked for at all."""
        return self._credentials(required=self._client_auth != "none")

    def expires(self) -> float:
        """When the certificate in use ends, in seconds since 1970."""
        return self._watched.current().expires

    def problems(self, now: float) -> list[str]:
        """What a person should put right although TLS works, at this time in seconds since 1970."""
        expires = self.expires()
        ended = f"{self._files.options[0]}: {self._files.certificate} is no longer valid" if expires <= now else ""
        return [text for text in (self._files.exposed_key(), ended) if text]

    def figures(self) -> tuple[float, int, int]:
        """When the certificate in use ends, and how often another was taken, refused."""
        return self.expires(), self._watched.reloads, self._watched.failures

    def _credentials(self, *, required: bool) -> grpc.ServerCredentials:
        newest = _changes(lambda: self._watched.current().grpc)
        first = self._watched.current().grpc
        # The stubs do not know of None, which gRPC takes for no change.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", newest)
        return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=required)

    def _load(self) -> _Loaded:
        content = self._files.read()
        assert content.certificate is not None and content.key is not None
        try:
            expires = x509.load_pem_x509_certificate(content.certificate).not_valid_after_utc.timestamp()
        except ValueError as error:
            raise TlsFilesError(f"{self._files.options[0]}: {self._files.certificate}: {error}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self._min_version]
        context.set_alpn_protocols(["http/1.1"])
        self._files.use_certificate(context)
        authorities = None
        if self._client_auth != "none":
            authorities = content.authorities
            self._files.use_authorities(context)
            context.verify_mode = _HTTP_MODES[self._client_auth]
            # A session that is taken up again shows no certificate, so another authority would not be asked.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        pairs = grpc.ssl_server_certificate_configuration([(content.key, content.certificate)], authorities)
        return _Loaded(context, pairs, expires)


def _changes(
    current: Callable[[], grpc.ServerCertificateConfiguration],
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """As gRPC asks before each handshake: None when what it has is the newest."""
    had = current()

    def newest() -> grpc.ServerCertificateConfiguration | None:
        nonlocal had
        found = current()
        if found is had:
            return None
        had = found
        return found

    return newest


@lru_cache(maxsize=1024)
def names_in(certificate: bytes) -> tuple[str, ...]:
    """The names of the subject in a certificate in DER that was checked: those of the extension, else the common name.

    Each is as it stands there: `penstock-executor`, `spiffe://cluster.local/ns/a/sa/b`, `a@example.com`, `10.0.0.1`.
    """
    read = x509.load_der_x509_certificate(certificate)
    try:
        extension = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        extension = None
    common = [str(one.value) for one in read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return tuple(dict.fromkeys([*_alternative(extension or ()), *common]))


def names_of_http_peer(connection: ssl.SSLObject | None) -> tuple[str, ...]:
    """Of an HTTP request's `transport.get_extra_info("ssl_object")`; empty without TLS or without a certificate."""
    certificate = connection.getpeercert(binary_form=True) if connection is not None else None
    return names_in(certificate) if certificate else ()


def names_of_grpc_peer(auth_context: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a gRPC call's `context.auth_context()`; empty without TLS or without a certificate."""
    for pem in auth_context.get("x509_pem_cert", ()):
        return names_in(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))
    return ()


def _alternative(names: Iterable[x509.GeneralName]) -> Iterable[str]:
    for name in names:
        if isinstance(name, (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name, x509.IPAddress)):
            yield str(name.value)
