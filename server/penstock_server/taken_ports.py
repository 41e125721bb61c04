"""Ports that a supervisor takes for the processes that it forks, which share them (`SO_REUSEPORT`).

Invariants: a port that another program uses is refused, also one that it would share; the sockets never listen, so no
connection comes to them, and while they are open nobody else can have the port, though no process listens.
"""

from __future__ import annotations

import errno
import os
import socket

import click
from penstock.option_types import Address

_TRIES_OF_PORTS = 20


def take(address: Address, option: str) -> tuple[Address, list[socket.socket]]:
    """Takes the address for processes that this one forks, and returns it with its port: sockets to be kept open.

    Raises click.UsageError when it cannot be used.
    """
    try:
        for _ in range(_TRIES_OF_PORTS):
            try:
                return _taken(address)
            except OSError as error:
                # A free port of the first address of a name may be taken on its second.
                if address.port or error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.UsageError(f"{option}: {address} cannot be used: {reason}") from error


def _taken(address: Address) -> tuple[Address, list[socket.socket]]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    port, sockets, failure = address.port, list[socket.socket](), OSError(errno.EADDRNOTAVAIL, "no address")
    for family, kind, protocol, _, where in dict.fromkeys(found):
        one = socket.socket(family, kind, protocol)
        try:
            _bind_alone(one, (where[0], port, *where[2:]))
        except OSError as error:
            one.close()
            failure = error
            # Such as IPv6 where there is none: the servers use the other addresses of the name, too.
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for other in sockets:
                other.close()
            raise
        port = one.getsockname()[1]
        sockets.append(one)
    if not sockets:
        raise failure
    return Address(address.host, port), sockets


def _bind_alone(one: socket.socket, where: tuple[object, ...]) -> None:
    """Fails when anybody has the port; afterwards it can be shared with this user's sockets alone that want to share.

    The socket never listens, so no connection comes to it. Linux looks at these two options whenever somebody binds,
    not at what they were when this one did.
    """
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Only connections that ended a moment ago may still have the port.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(where)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
