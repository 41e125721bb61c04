"""TCP ports for programs whose address must be known before they listen, or that listen on the same address again.

Why not bind to port 0, close the socket and use its number: until the program binds it, another process or an outgoing
connection can take the port. Invariants: ports lie below the range of outgoing connections (from 32768 on Linux, from
49152 on macOS and Windows); a process holds the UDP port of the same number until it exits, and a TCP port whose UDP
port is held is not given out. So processes that use this module never get the same port, and nothing has to be cleaned
up.
"""

from __future__ import annotations

import errno
import socket

_PORTS = range(20000, 30000)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free at `host`, an IPv4 address of this machine. Raises OSError when there is none."""
    for port in _PORTS:
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind((host, port))
            with socket.socket() as probe:
                probe.bind((host, port))
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            # Stays open until this process exits.
            claim.detach()
            return port
    raise OSError(errno.EADDRINUSE, f"no port is free at {host} from {_PORTS.start} to {_PORTS.stop - 1}")
