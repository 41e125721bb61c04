"""Refuses requests that a browser sends for a page of another site (CSRF and DNS rebinding).

Why: there is no authentication, so any page on the web could start runs, hence commands, through the browser of a user
whose machine runs a server. A browser sends the origin of a request in headers that no page can change (`Origin`,
`Sec-Fetch-Site`), and the name of the server in `Host`: with DNS rebinding a page is of the server's own origin, but
under a name that the server does not have.

Invariants: a request without these headers is no browser's and is accepted, so programs need no token. An IP address in
`Host` is always accepted, since rebinding needs a name. No reply allows another origin to read it (no CORS headers). A
navigation (a link) is accepted from any site, since only the user sees its result and it changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from aiohttp import web

JSON_TYPE = "application/json"
# The types that curl and many libraries send for a body unless another is set.
_DEFAULT_TYPES = ("", "application/x-www-form-urlencoded")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::(\d{1,5}))?", re.ASCII)
_NAME = re.compile(r"(\*\.)?[^\[\]:/@\s*]+", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """`hosts`: accepted names of the server, besides localhost and IP addresses; `*.example.com` accepts all
    subdomains, None any name. `origins`: pages that may call, such as https://pipelines.example.com behind a proxy that
    changes `Host`. Both in the forms that `host_name` and `origin` return.
    """

    hosts: tuple[str, ...] | None = ()
    origins: tuple[str, ...] = ()

    @staticmethod
    def serving(address: str, hosts: tuple[str, ...], origins: tuple[str, ...]) -> SitePolicy:
        """The policy of a server bound to `address`. A server that other machines reach has names that it cannot know
        (of Services, of an ingress), so its names are checked only if some are given.
        """
        if not hosts and not is_local(address):
            return SitePolicy(None, origins)
        return SitePolicy((*hosts, address.lower()), origins)


LOCAL_ONLY = SitePolicy()


def host_name(text: str) -> str:
    """A host name in the form in which names are compared. Raises ValueError, also for a port or a scheme."""
    name = text.strip().lower().rstrip(".")
    if not _is_address(name) and not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not the name of a host, such as penstock.example.com or *.example.com")
    return name


def origin(text: str) -> str:
    """An origin in the form in which origins are compared. Raises ValueError."""
    parts = _origin(text.strip().rstrip("/"))
    if parts is None:
        raise ValueError(f"{text!r} is not an origin, such as https://pipelines.example.com")
    scheme, name, port = parts
    return f"{scheme}://{name}:{port}"


def is_local(host: str) -> bool:
    """Whether the host is localhost or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback


def refusal(request: web.Request, policy: SitePolicy) -> str | None:
    """Why the request is refused, None when it is not."""
    host = _AUTHORITY.fullmatch(request.headers.get("Host", ""))
    if host is None:
        return "the request needs a valid Host header"
    name = host.group(1).lower().rstrip(".")
    if not _is_allowed_host(name, policy):
        return (
            f"this server does not go by the name {name[:255]!r}; "
            f"if it should, start it with --allowed-host {name[:255]} (PENSTOCK_ALLOWED_HOSTS)"
        )
    origin_header = request.headers.get("Origin")
    caller_origin = None if origin_header is None else _origin(origin_header)
    if caller_origin is not None and "{}://{}:{}".format(*caller_origin) in policy.origins:
        return None
    site = request.headers.get("Sec-Fetch-Site", "").lower()
    if site == "same-origin":
        # Sent by the browser itself, so it is right even behind a proxy that changes Host.
        return None
    if site in ("", "none"):
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme).split(",")[0].strip().lower()
        if origin_header is None or caller_origin == (scheme, name, int(host.group(2) or _PORTS.get(scheme, 0))):
            return None
    elif _is_navigation(request):
        return None
    return (
        f"a page of {'another site' if origin_header is None else origin_header[:255]} may not call this server; "
        "if it should, start it with --allowed-origin and the page's origin (PENSTOCK_ALLOWED_ORIGINS)"
    )


def carries_json(request: web.Request, content: bytes) -> bool:
    """Whether the content type of the body, `content`, is accepted as JSON. Programs may omit it, or send curl's
    default; browsers may not, because a page of another site can send those types without a preflight.
    """
    if request.method in _READING:
        return True
    kind = request.content_type if "Content-Type" in request.headers else ""
    if kind == JSON_TYPE:
        return True
    return kind in _DEFAULT_TYPES and not (_is_browser(request) and (kind or content))


def _is_allowed_host(name: str, policy: SitePolicy) -> bool:
    if policy.hosts is None or is_local(name) or _is_address(name):
        return True
    return any(name == allowed or (allowed.startswith("*.") and name.endswith(allowed[1:])) for allowed in policy.hosts)


def _is_navigation(request: web.Request) -> bool:
    """Whether the user followed a link, in a top-level window and not in a frame of another site."""
    headers = request.headers
    return (
        request.method in ("GET", "HEAD")
        and headers.get("Sec-Fetch-Mode", "").lower() == "navigate"
        and headers.get("Sec-Fetch-Dest", "").lower() == "document"
    )


def _is_browser(request: web.Request) -> bool:
    headers = request.headers
    return any(name in headers for name in ("Origin", "Referer", "Sec-Fetch-Site")) or headers.get(
        "User-Agent", ""
    ).startswith("Mozilla/")


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for `null` and other texts that are no origin."""
    scheme, separator, authority = text.lower().partition("://")
    match = _AUTHORITY.fullmatch(authority)
    if not separator or scheme not in _PORTS or match is None:
        return None
    return scheme, match.group(1).rstrip("."), int(match.group(2) or _PORTS[scheme])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
