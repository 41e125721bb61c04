"""Certificates for servers and clients of tests: signed by themselves, or by an authority made here."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOCAL = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
_DAY = datetime.timedelta(days=1)
_PEM = serialization.Encoding.PEM


def self_signed(directory: Path, names: Sequence[x509.GeneralName] = ()) -> tuple[Path, Path]:
    """PEM files in `directory` of a certificate, good for a day, and of its key; it is its own authority."""
    authority = Authority("test", names)
    certificate, private = directory / "tls.crt", directory / "tls.key"
    certificate.write_bytes(authority.certificate)
    private.write_bytes(_private_bytes(authority.key))
    return certificate, private


class Authority:
    """`certificate` is in PEM."""

    def __init__(self, name: str = "authority", names: Sequence[x509.GeneralName] = ()) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self.key, self.key, _DAY, names)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM)

    def issue(
        self, name: str, names: Sequence[x509.GeneralName] = LOCAL, *, valid: datetime.timedelta = _DAY
    ) -> tuple[bytes, bytes]:
        """A certificate, valid until so long from now, and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _builder(_name(name), self._name, key, self.key, valid, names).sign(self.key, hashes.SHA256())
        return signed.public_bytes(_PEM), _private_bytes(key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: datetime.timedelta,
    names: Sequence[x509.GeneralName],
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _DAY)
        .not_valid_after(now + valid)
    )
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
    )
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
