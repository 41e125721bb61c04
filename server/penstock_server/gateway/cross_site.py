"""Refuses what a browser sends for a page of another site.

Why: nobody is asked who they are, so a page anywhere on the web could start runs, hence commands, through the browser
of whoever runs a server on their machine. A browser says where a request comes from in headers that no page can change
(`Origin`, `Sec-Fetch-Site`), and by which name the server was reached (`Host`): a page that had its own name point at
this machine is of the server's own origin, but under a name that the server does not have.

Invariants: what carries none of these headers is no browser and passes, so programs need no token. An address in `Host`
passes always: only a name can be made to point elsewhere. No reply allows another origin to read it (no CORS headers).
A navigation to a page may come from anywhere (a link), as it shows to the user alone what it finds and changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from aiohttp import web

JSON_TYPE = "application/json"
# What curl and many libraries put on a body whose type they were not told.
_UNTOLD_TYPES = ("", "application/x-www-form-urlencoded")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::(\d{1,5}))?", re.ASCII)
_NAME = re.compile(r"(\*\.)?[^\[\]:/@\s*]+", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """`hosts` are names the server is reached by, besides those of this machine alone and addresses; `*.example.com`
    stands for all below it, None for any name. `origins` are those of pages that may call, such as
    https://pipelines.example.com behind a proxy that changes `Host`. Both as `host_name` and `origin` give them.
    """

    hosts: tuple[str, ...] | None = ()
    origins: tuple[str, ...] = ()

    @staticmethod
    def serving(address: str, hosts: tuple[str, ...], origins: tuple[str, ...]) -> SitePolicy:
        """For a server bound to `address`. One that others reach is reached by names it cannot know (those of Services,
        of an ingress), so there names are checked when some are given.
        """
        if not hosts and not is_local(address):
            return SitePolicy(None, origins)
        return SitePolicy((*hosts, address.lower()), origins)


THIS_MACHINE_ALONE = SitePolicy()


def host_name(text: str) -> str:
    """The form in which names are compared. Raises ValueError for what is no name, with a port or a scheme, say."""
    name = text.strip().lower().rstrip(".")
    if not _is_address(name) and not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not the name of a host, such as penstock.example.com or *.example.com")
    return name


def origin(text: str) -> str:
    """The form in which origins are compared. Raises ValueError."""
    found = _origin(text.strip().rstrip("/"))
    if found is None:
        raise ValueError(f"{text!r} is not an origin, such as https://pipelines.example.com")
    scheme, name, port = found
    return f"{scheme}://{name}:{port}"


def is_local(host: str) -> bool:
    """Whether it names this machine, for this machine alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback


def refusal(request: web.Request, policy: SitePolicy) -> str | None:
    """Why the request is refused, None when it is not."""
    host = _AUTHORITY.fullmatch(request.headers.get("Host", ""))
    if host is None:
        return "the request needs a valid Host header"
    name = host.group(1).lower().rstrip(".")
    if not _may_be_called(name, policy):
        return (
            f"this server does not go by the name {name[:255]!r}; "
            f"if it should, start it with --allowed-host {name[:255]} (PENSTOCK_ALLOWED_HOSTS)"
        )
    said = request.headers.get("Origin")
    asking = None if said is None else _origin(said)
    if asking is not None and "{}://{}:{}".format(*asking) in policy.origins:
        return None
    site = request.headers.get("Sec-Fetch-Site", "").lower()
    if site == "same-origin":
        # Said by the browser of the page it shows, so it holds behind a proxy that changes Host, too.
        return None
    if site in ("", "none"):
        scheme = request.headers.get("X-Forwarded-Proto", "http").split(",")[0].strip().lower()
        if said is None or asking == (scheme, name, int(host.group(2) or _PORTS.get(scheme, 0))):
            return None
    elif _opens_a_page(request):
        return None
    return (
        f"a page of {'another site' if said is None else said[:255]} may not call this server; "
        "if it should, start it with --allowed-origin and the page's origin (PENSTOCK_ALLOWED_ORIGINS)"
    )


def carries_json(request: web.Request) -> bool:
    """Whether a body is JSON by its type. Programs may leave that out, or send what curl sends for them; a browser may
    not, because those types are what a page of another site can send without being asked.
    """
    if request.method in _READING:
        return True
    kind = request.content_type if "Content-Type" in request.headers else ""
    if kind == JSON_TYPE:
        return True
    return kind in _UNTOLD_TYPES and not (_is_a_browser(request) and (kind or request.can_read_body))


def _may_be_called(name: str, policy: SitePolicy) -> bool:
    if policy.hosts is None or is_local(name) or _is_address(name):
        return True
    return any(name == known or (known.startswith("*.") and name.endswith(known[1:])) for known in policy.hosts)


def _opens_a_page(request: web.Request) -> bool:
    """A link that was followed, in a window of its own and not in another site's frame."""
    headers = request.headers
    return (
        request.method in ("GET", "HEAD")
        and headers.get("Sec-Fetch-Mode", "").lower() == "navigate"
        and headers.get("Sec-Fetch-Dest", "").lower() == "document"
    )


def _is_a_browser(request: web.Request) -> bool:
    headers = request.headers
    return any(name in headers for name in ("Origin", "Referer", "Sec-Fetch-Site")) or headers.get(
        "User-Agent", ""
    ).startswith("Mozilla/")


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for `null` and what is no origin."""
    scheme, separator, authority = text.lower().partition("://")
    found = _AUTHORITY.fullmatch(authority)
    if not separator or scheme not in _PORTS or found is None:
        return None
    return scheme, found.group(1).rstrip("."), int(found.group(2) or _PORTS[scheme])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
