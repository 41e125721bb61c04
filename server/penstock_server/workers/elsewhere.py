"""What callers see of the pool, so that whatever reads documents can be tested without processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Elsewhere(Protocol):
    """Does work in another process."""

    def call(self, task: str, values: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        """What `task` (`module:function`) returns for values, which are JSON, and content.

        Raises PenstockError when it cannot be done (`Workers.call`).
        """
        ...
