"""How many connections to a database server are kept, and for how long.

Why apart from `engine`: the server's settings show these defaults, and must not cost the import of SQLAlchemy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The connection pool of a database server. Times in seconds.

    `size` connections are kept, up to `overflow` more are opened when all are in use; `wait`: for a free one; older
    connections than `recycle` are replaced, which must be before a proxy closes them; `pre_ping`: each connection is
    tested before it is used.
    """

    size: int = 16
    overflow: int = 32
    wait: float = 10.0
    recycle: int = 1800
    pre_ping: bool = True


DEFAULT_POOL = PoolSettings()
