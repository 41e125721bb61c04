"""Certificates, keys and authorities in files.

Why: programs say at their start, and whenever the files were replaced (`watched_files`), what is wrong with them and
which option named them; gRPC says nothing.

Invariants: what was read fits together; nobody is asked for a password.
"""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path


class TlsFilesError(ValueError):
    """The files cannot be used; the text names the option, the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class TlsBytes:
    """The content of `TlsFiles`, in PEM; None for what was not given."""

    certificate: bytes | None
    key: bytes | None = field(repr=False)
    authorities: bytes | None


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """One's own certificate with its key, and the authorities that sign the peers' certificates; each may be absent.

    `options` name the three where something is wrong with them.
    """

    certificate: Path | None
    key: Path | None
    authorities: Path | None
    options: tuple[str, str, str]

    def paths(self) -> list[Path]:
        """Of the files that were given."""
        return [path for path in (self.certificate, self.key, self.authorities) if path is not None]

    def read(self) -> TlsBytes:
        """What the files hold, when it fits together. Raises TlsFilesError."""
        option_certificate, option_key, option_authorities = self.options
        if (self.certificate is None) != (self.key is None):
            raise TlsFilesError(f"{option_certificate}, {option_key}: one needs the other")
        content = TlsBytes(
            _content(option_certificate, self.certificate),
            _content(option_key, self.key),
            _content(option_authorities, self.authorities),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.certificate is not None and self.key is not None:
            self.use_certificate(context)
        if self.authorities is not None:
            self.use_authorities(context)
        return content

    def use_certificate(self, context: ssl.SSLContext) -> None:
        """Loads one's own certificate into the context. Raises TlsFilesError."""
        assert self.certificate is not None and self.key is not None
        option_certificate, option_key, _ = self.options
        try:
            # A key with a password would be asked for at the terminal.
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise TlsFilesError(
                f"{option_certificate}, {option_key}: {self.certificate} and {self.key} are no certificate in PEM and "
                f"its key, without a password: {reason}"
            ) from error

    def use_authorities(self, context: ssl.SSLContext) -> None:
        """Lets the context trust the authorities. Raises TlsFilesError."""
        assert self.authorities is not None
        try:
            context.load_verify_locations(self.authorities)
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise TlsFilesError(f"{self.options[2]}: {self.authorities}: no certificates in PEM: {reason}") from error

    def exposed_key(self) -> str:
        """Who else may read the key, as a warning; empty when nobody may.

        A group may when it is by that group that this program reads the file, as in volumes of Kubernetes.
        """
        if self.key is None:
            return ""
        found = self.key.stat()
        others = bool(found.st_mode & stat.S_IRWXO)
        group = bool(found.st_mode & stat.S_IRWXG) and found.st_uid == os.geteuid()
        if not others and not group:
            return ""
        who = "everybody" if others else "its group"
        return f"{self.options[1]}: {self.key}: {who} may use the key ({stat.filemode(found.st_mode)}); chmod 600 it"


def _content(option: str, path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise TlsFilesError(f"{option}: {path}: {error.strerror or error}") from error
