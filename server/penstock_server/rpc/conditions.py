"""Reads on condition that something has changed, by the metadata of a call.

A caller names the tags that it has in `if-none-match`; a handler that can tell cheaply ends with the tag of its answer
in the trailing `etag`. When the tag is one that the caller has, the answer is empty. Invariants: a tag says what the
answer is made from, how much of it is told, which a field mask says too, and by which release; who may not read an
answer is refused before.
"""

from __future__ import annotations

from importlib.metadata import version

import grpc

from penstock_server.domain.entity_tags import ETAG, IF_NONE_MATCH, header, tags_of
from penstock_server.rpc.field_masks import current_mask

# Another release may tell more of the same.
_RELEASE = version("penstock")


class Condition:
    """What a call says of the answer that its caller has. `told` says how much of it is asked for."""

    def __init__(self, context: grpc.ServicerContext, told: str) -> None:
        self._context = context
        masked = current_mask().tag
        self._told = f";{told};{masked};{_RELEASE}" if masked else f";{told};{_RELEASE}"

    def versions(self) -> list[str]:
        """Of answers like this one that the caller has."""
        asked = (value for key, value in self._context.invocation_metadata() or () if key == IF_NONE_MATCH)
        tags = [tag for value in asked for tag in tags_of(str(value))]
        return [tag.removesuffix(self._told) for tag in tags if tag.endswith(self._told)]

    def answered(self, version: str) -> None:
        """Sends the tag of the answer that has this version."""
        self._context.set_trailing_metadata(((ETAG, header(f"{version}{self._told}")),))
