"""Replies that are sent only when they have changed (RFC 9110, section 13.1.2): entity tags of what is read over REST.

Where a call tells the tag of its answer, a client that has the answer gets 304 before it is read; of all others the tag
is of the content, and spares sending it. Invariant: a cache keeps a reply for its user alone, and asks each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from aiohttp import web

from penstock_server.domain.entity_tags import ETAG, IF_NONE_MATCH, header, tags_of

_CACHE = "no-cache, private"
# The same answer with the fields that Penstock adds.
_ALL = ";options"


class Condition:
    """What a request says of the reply that its client has. `keeps_all`: it asks for Penstock's own fields, too."""

    def __init__(self, request: web.Request, *, keeps_all: bool) -> None:
        given = ",".join(request.headers.getall("If-None-Match", ()))
        self._reads = request.method in ("GET", "HEAD")
        self._asked = frozenset(tags_of(given)) if self._reads else frozenset()
        self._suffix = _ALL if keeps_all else ""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """With which the call is told what the client has."""
        known = [tag.removesuffix(self._suffix) for tag in self._asked if tag.endswith(self._suffix)]
        return ((IF_NONE_MATCH, header(*known)),) if known else ()

    def tag_of(self, trailing: Mapping[str, str]) -> str:
        """Of the reply to a call that tells it; empty of any other."""
        told = tags_of(trailing.get(ETAG, ""))
        return f"{told[0]}{self._suffix}" if told and self._reads else ""

    def tag_of_content(self, content: bytes) -> str:
        """Of a reply whose call tells none."""
        return hashlib.blake2b(content, digest_size=16).hexdigest() if self._reads else ""

    def is_known(self, tag: str) -> bool:
        """Whether the client has the reply with this tag."""
        return tag in self._asked


def tagged(reply: web.Response, tag: str) -> web.Response:
    """The reply with its tag, if it has one."""
    if tag:
        reply.headers["ETag"] = header(tag)
        reply.headers["Cache-Control"] = _CACHE
    return reply


def not_modified(tag: str) -> web.Response:
    """304: the client has the reply."""
    return tagged(web.Response(status=304), tag)
