"""Certificates for one's own machine: an authority, a server's certificate and a client's, in one directory.

Why: TLS can be tried, and tested against, before there is an authority of the organisation. Programs have to be told to
trust this one; nobody else does.

Invariants: what is there and still fits is left as it is, so the same authority stays trusted; what comes near its end
or lacks a name is made anew. Keys are for their owner alone. A file is replaced at once, and a certificate never lies
beside the key of another for longer than it takes to write both.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Clients of Apple's systems refuse a server's certificate of more than 825 days, browsers one of more than 398.
_LEAF = datetime.timedelta(days=90)
_AUTHORITY = datetime.timedelta(days=3650)
# Made anew when less than a third is left.
_RENEWED_AT = 3
_PEM = serialization.Encoding.PEM
_CLIENT = "penstock-client"


@dataclass(frozen=True, slots=True)
class DevFiles:
    """All in PEM."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    made: tuple[str, ...]
    """Of `authority`, `server`, `client` those that were not there or no longer good."""


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def local_names() -> list[str]:
    """What this machine is called by its own programs."""
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname()]))


def ensure(directory: Path, names: Sequence[str] = (), now: datetime.datetime | None = None) -> DevFiles:
    """The certificates in `directory`, which is made; `names` are host names and addresses of the server besides
    `local_names`. Raises OSError, ValueError for a name that is none.
    """
    now = now or datetime.datetime.now(datetime.timezone.utc)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = [_general_name(one) for one in (*local_names(), *names)]
    made = []
    authority = _read(directory, "ca")
    if authority is None or not _lasts(authority, now):
        authority = _authority(now)
        _write(directory, "ca", authority)
        made.append("authority")
    for file, subject, alternative in (
        ("server", "penstock-server", wanted),
        ("client", _CLIENT, [x509.DNSName(_CLIENT)]),
    ):
        found = _read(directory, file)
        if found is not None and _fits(found, authority, alternative, now):
            continue
        if found is not None and file == "server":
            # Names that were given once stay: another start need not repeat them.
            alternative = list(dict.fromkeys([*alternative, *_alternative(found.certificate)]))
        _write(directory, file, _leaf(authority, subject, alternative, now))
        made.append(file)
    return DevFiles(
        directory / "ca.crt",
        directory / "server.crt",
        directory / "server.key",
        directory / "client.crt",
        directory / "client.key",
        tuple(made),
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not text or not text.isascii() or any(one in text for one in " ,/:"):
        raise ValueError(f"{text!r} is neither a host name nor an address")
    return x509.DNSName(text)


def _alternative(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _lasts(pair: _Pair, now: datetime.datetime) -> bool:
    begins, ends = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
    return begins <= now and (ends - now) * _RENEWED_AT > ends - begins


def _fits(pair: _Pair, authority: _Pair, names: Iterable[x509.GeneralName], now: datetime.datetime) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # noqa: BLE001 - of another authority, by whichever of its exceptions
        return False
    return _lasts(pair, now) and set(names) <= set(_alternative(pair.certificate))


def _authority(now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # The machine's name tells the authorities of several laptops apart where they are listed.
    name = _subject(f"Penstock on {socket.gethostname()}"[:64])
    usage = _key_usage(signs_certificates=True)
    builder = _builder(name, name, key, key, now, _AUTHORITY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _leaf(authority: _Pair, subject: str, names: Sequence[x509.GeneralName], now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if subject == _CLIENT else ExtendedKeyUsageOID.SERVER_AUTH
    builder = _builder(_subject(subject), authority.certificate.subject, key, authority.key, now, _LEAF)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    life: datetime.timedelta,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    # An hour back, for clocks that are late.
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    # Python 3.13 refuses certificates without the two identifiers.
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.not_valid_after(now + life).add_extension(own, critical=False)
    return builder.add_extension(issuers, critical=False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read(directory: Path, name: str) -> _Pair | None:
    """None for what is not there, or is no certificate with its key."""
    try:
        certificate = x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())
        key = serialization.load_pem_private_key((directory / f"{name}.key").read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return _Pair(certificate, key)


def _write(directory: Path, name: str, pair: _Pair) -> None:
    private = pair.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _replace(directory / f"{name}.key", private, 0o600)
    _replace(directory / f"{name}.crt", pair.certificate.public_bytes(_PEM), 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    fresh.replace(path)
