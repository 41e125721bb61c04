"""Certificates and keys in files: what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from penstock.tls_files import TlsFiles, TlsFilesError

from tests.support.certificates import Authority


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    certificate, key = Authority().issue("x")
    private = serialization.load_pem_private_key(key, None)
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(locked)
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key", None, ("--cert", "--key", "--ca"))
    with pytest.raises(TlsFilesError, match=r"--cert, --key: .*without a password"):
        files.read()
