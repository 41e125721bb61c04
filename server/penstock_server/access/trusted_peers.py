"""The peers that may say in a header who calls: proxies, named by their networks or by their certificates.

Invariant: a peer without an address, in this process or behind a unix socket, is none of them unless it shows a
certificate.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from penstock_server.access.credentials import Credentials

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ADDRESS_LIKE = re.compile(r"[\d.]+(/.*)?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/.*)?|[^/]*/[^/]*")


@dataclass(frozen=True, slots=True)
class TrustedPeers:
    """`certificate_names` are compared with subject alternative names and common names as they are."""

    networks: tuple[Network, ...] = ()
    certificate_names: frozenset[str] = frozenset()

    @staticmethod
    def parse(entries: Iterable[str]) -> TrustedPeers:
        """Networks and addresses (`10.0.0.0/8`), and names in certificates (`spiffe://…`, `proxy.example.com`).

        Raises ValueError for what is neither, such as a network with bits behind its mask.
        """
        networks, names = [], set()
        for entry in (entry.strip() for entry in entries):
            if not entry or not entry.isprintable():
                raise ValueError("the name of a trusted proxy is empty")
            if _ADDRESS_LIKE.fullmatch(entry):
                networks.append(ipaddress.ip_network(entry))
            else:
                names.add(entry)
        return TrustedPeers(tuple(networks), frozenset(names))

    def __bool__(self) -> bool:
        return bool(self.networks or self.certificate_names)

    def trusts(self, credentials: Credentials) -> bool:
        """Whether the call came from one of these peers."""
        if not self.certificate_names.isdisjoint(credentials.certificate_names):
            return True
        try:
            address = ipaddress.ip_address(credentials.address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            # How a socket for both versions shows an IPv4 peer.
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)
