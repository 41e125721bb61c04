"""A bounded number of places, shared among peers.

Why: whoever holds connections, bodies or calls open without working must not keep others out, whether the others come
from the same address or from another one. Invariants: never more than `total` places are taken, never more than
`per_peer` by one peer. When there is no place for a newcomer, a holder that only waits gives way: one of the newcomer's
own peer when that peer has its share, else one of the peer with the most places; the one that has waited longest goes
first, if it waits for longer than `patience` seconds. Holders that work are never displaced.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_Holder = TypeVar("_Holder", bound=Hashable)
# A subscriber of IPv6 has a network of 2**64 addresses at least.
_SUBSCRIBER_BITS = 64


class NoPlaceError(Exception):
    """All places, or all that a peer may have, are taken by holders that do not give way."""


@dataclass(slots=True)
class _Peer(Generic[_Holder]):
    taken: int = 0
    waiting: OrderedDict[_Holder, float] = field(default_factory=OrderedDict)
    """Since when each waits, the longest first."""

    def displaceable(self, until: float) -> _Holder | None:
        for holder, since in self.waiting.items():
            return holder if since <= until else None
        return None


class Places(Generic[_Holder]):
    """Thread-safe. A holder takes one place at a time."""

    def __init__(self, total: int, per_peer: int, patience: float = 0.0) -> None:
        self._patience = patience
        self._total = total
        self._per_peer = per_peer
        self._lock = threading.Lock()
        self._peers: dict[str, _Peer[_Holder]] = {}
        self._peer_of: dict[_Holder, str] = {}

    def __len__(self) -> int:
        return len(self._peer_of)

    def holders(self) -> list[_Holder]:
        """Those that have a place now."""
        with self._lock:
            return list(self._peer_of)

    def take(self, peer: str, holder: _Holder) -> _Holder | None:
        """Gives `holder` a place. Returns the holder that lost its place for it, which the caller has to end.

        Raises NoPlaceError.
        """
        with self._lock:
            displaced = self._displaced(peer)
            if displaced is not None:
                self._remove(displaced)
            self._peers.setdefault(peer, _Peer()).taken += 1
            self._peer_of[holder] = peer
            return displaced

    def leave(self, holder: _Holder) -> None:
        """Frees the place; nothing happens if the holder has none any more."""
        with self._lock:
            if holder in self._peer_of:
                self._remove(holder)

    def waits(self, holder: _Holder) -> None:
        """From now on the holder gives way when a place is needed; nothing happens if it has none any more."""
        with self._lock:
            peer = self._peer_of.get(holder)
            if peer is not None:
                self._peers[peer].waiting.setdefault(holder, time.monotonic())

    def works(self, holder: _Holder) -> None:
        """From now on the holder keeps its place."""
        with self._lock:
            peer = self._peer_of.get(holder)
            if peer is not None:
                self._peers[peer].waiting.pop(holder, None)

    def _displaced(self, newcomer: str) -> _Holder | None:
        own, until = self._peers.get(newcomer), time.monotonic() - self._patience
        if own is not None and own.taken >= self._per_peer:
            candidates = [own]
        elif len(self._peer_of) < self._total:
            return None
        else:
            candidates = sorted(self._peers.values(), key=lambda peer: peer.taken, reverse=True)
        for peer in candidates:
            holder = peer.displaceable(until)
            if holder is not None:
                return holder
        raise NoPlaceError

    def _remove(self, holder: _Holder) -> None:
        name = self._peer_of.pop(holder)
        peer = self._peers[name]
        peer.waiting.pop(holder, None)
        peer.taken -= 1
        if not peer.taken:
            del self._peers[name]


def peer_name(address: str, port: int, proxies: Sequence[Network] = ()) -> str:
    """Whose places a connection from there takes: the address's, or the network's for IPv6.

    Each connection from one of `proxies` counts by itself, because many users stand behind it.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif not found.is_loopback:
            network = ipaddress.ip_network((found, _SUBSCRIBER_BITS), strict=False)
            return f"{found} {port}" if _is_proxy(found, proxies) else str(network)
    return f"{found} {port}" if _is_proxy(found, proxies) else str(found)


def _is_proxy(address: ipaddress.IPv4Address | ipaddress.IPv6Address, proxies: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in proxies)
