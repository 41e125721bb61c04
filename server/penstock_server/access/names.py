"""Names of users and groups, as whoever identifies them says them.

Why checked: they become part of log lines, rows and questions to a cluster, and a name of a blank or of a megabyte is
nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_server.errors import UnauthenticatedError

MAX_NAME = 255
MAX_GROUPS = 500


def user_name(name: object, origin: str) -> str:
    """`name` as it is. Raises UnauthenticatedError, which says where it is from, for what cannot be a name."""
    if not isinstance(name, str) or not is_name(name):
        raise UnauthenticatedError(f"{origin} has no name of a user that this server can take")
    return name


def group_names(names: Iterable[object], origin: str) -> tuple[str, ...]:
    """The names without repetitions, in their order. Raises UnauthenticatedError as `user_name`, and for too many."""
    found: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str) or not is_name(name):
            raise UnauthenticatedError(f"{origin} has a name of a group that this server cannot take")
        found[name] = None
        if len(found) > MAX_GROUPS:
            raise UnauthenticatedError(f"{origin} names more than {MAX_GROUPS} groups")
    return tuple(found)


def is_name(text: str) -> bool:
    """Whether it is printable, of 1 to 255 characters, and neither begins nor ends with a blank."""
    return 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip()
