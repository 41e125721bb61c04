"""Whoever is sent the messages of a stream that holds no thread: of a watch, of a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from penstock_server.errors import PenstockError

_Message = TypeVar("_Message", contravariant=True)


class Reader(Protocol[_Message]):
    """Takes the messages of one stream."""

    @property
    def peer(self) -> str:
        """Whose reader it is."""
        ...

    def ready(self) -> bool:
        """False while it has not taken earlier messages."""
        ...

    def when_ready(self, call: Callable[[], None]) -> None:
        """`call` is called each time it has become ready again."""
        ...

    def send(self, message: _Message) -> None:
        """May block."""
        ...

    def end(self, error: PenstockError | None) -> None:
        """Nothing is sent any more."""
        ...

    def abandon(self) -> None:
        """Ends it, also while `send` blocks."""
        ...
