"""What a caller shows of who they are, in one form for gRPC and HTTP.

Invariants: names of headers are in lower case, and a header that came twice has two values, so that none hides another.
Nothing in here is believed yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """`address` is the peer's, without a port, empty for a peer inside this process or behind a unix socket.

    `port` is the peer's, 0 where it is not known.

    `continues`: the call is a further one for a request over HTTP whose first one was counted (`user_limits`).

    `certificate_names` are the subject alternative names and the common name of a client certificate that was verified
    by the TLS layer. `session` is the value of the session cookie of the web UI, and `verb` the HTTP method of the
    request that brought it; both are empty over gRPC. What lets somebody in is in
    no `repr`.
    """

    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    address: str = ""
    certificate_names: tuple[str, ...] = ()
    session: str = field(default="", repr=False)
    verb: str = ""
    port: int = 0
    continues: bool = False

    def values(self, header: str) -> tuple[str, ...]:
        """All values of a header; its name in any case."""
        return self.headers.get(header.lower(), ())

    def bearer(self) -> str:
        """The token of `Authorization: Bearer`; empty when there is none, or more than one."""
        values = self.headers.get("authorization", ())
        if len(values) != 1:
            return ""
        scheme, _, token = values[0].partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


NOBODY = Credentials()
"""Shows nothing."""
