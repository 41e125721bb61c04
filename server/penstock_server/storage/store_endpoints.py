"""Which addresses of object stores the namespaces' settings may name for the server's reads.

Why a list: a namespace's administrators write the ConfigMap `kfp-launcher`, and the server connects to the `endpoint`
in it from inside the cluster, follows redirects and returns what comes back. So it connects to what the operator has
named and to nothing else; no rule about addresses would do, since a name may lead elsewhere by the time it is used.

Invariants: pure. An endpoint is compared as scheme, host, port and path, and the one that is used is the operator's
text, so that it does not matter how else a namespace's could be read. Where a bucket's name stands before the host, the
operator has said so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from penstock_store.base import ArtifactStoreError
from penstock_store.config import S3_LIKE, BucketSettings, StoreConfig, default_settings
from penstock_store.request_parts import is_endpoint

_PORTS = {"http": 80, "https": 443}
_Address = tuple[str, str, int, str]


class StoreEndpoints:
    """`listed`: as `checked_endpoint` gives them."""

    def __init__(self, listed: Iterable[str], own: StoreConfig) -> None:
        """`own`: the server's settings; what they name may be named by namespaces, too."""
        self._any_style: dict[_Address, str] = {}
        self._path_style: dict[_Address, str] = {}
        for settings in (*own.buckets, default_settings("minio")):
            if settings.endpoint and is_endpoint(settings.endpoint):
                self._add(settings.endpoint, before=settings.path_style is False)
        for endpoint in listed:
            self._add(endpoint.replace("://*.", "://", 1), before="://*." in endpoint)

    def permitted(self, settings: BucketSettings) -> BucketSettings:
        """The settings as they may be used. Raises ArtifactStoreError for an endpoint that is not listed."""
        if not settings.endpoint:
            # Amazon's, Google's, Microsoft's; what stands in their host names is checked with every client.
            return settings
        before = settings.provider in S3_LIKE and settings.path_style is False
        known = self._any_style if before else self._path_style
        found = known.get(_address(settings.endpoint)) if is_endpoint(settings.endpoint) else None
        if found is not None:
            return replace(settings, endpoint=found)
        style = " with the bucket's name before the host (forcePathStyle: false)" if before else ""
        raise ArtifactStoreError(
            f"providers.{settings.provider}: the endpoint {settings.endpoint[:200]!r} is not among those that the "
            f"server connects to for namespaces{style}; its operator lists them with --store-endpoint"
        )

    def _add(self, endpoint: str, *, before: bool) -> None:
        self._path_style[_address(endpoint)] = endpoint
        if before:
            self._any_style[_address(endpoint)] = endpoint


def checked_endpoint(text: str) -> str:
    """An endpoint as an operator lists it: `https://store.example:9000`; with `https://*.store.example` buckets' names
    may stand before the host, too.

    Raises ValueError for what is no address, and for one at which there is no store, such as a cloud's metadata.
    """
    endpoint = text.strip().rstrip("/")
    plain = endpoint.replace("://*.", "://", 1)
    if not is_endpoint(plain):
        raise ValueError(f"{text!r} is no address such as https://store.example:9000")
    host = urlsplit(plain).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return endpoint
    if "://*." in endpoint:
        raise ValueError(f"{text!r}: no bucket's name can stand before an address")
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{text!r}: no store has such an address")
    return endpoint


def _address(endpoint: str) -> _Address:
    """Of what `is_endpoint`."""
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme, host, parts.port or _PORTS[parts.scheme], parts.path.rstrip("/")
