"""The database's clock as an SQL expression.

Why: several servers, whose clocks may differ by seconds, compare leases; all of them use the clock of the database.
Invariant: the value is constant within a statement, so that an index can be used with it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class now_millis(FunctionElement[int]):
    """Milliseconds since the epoch."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_millis, "sqlite")
def _sqlite(element: Any, compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"


@compiles(now_millis, "postgresql")
def _postgresql(element: Any, compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)"


@compiles(now_millis, "mysql")
@compiles(now_millis, "mariadb")
def _mysql(element: Any, compiler: Any, **_: Any) -> str:
    # UTC on both sides: UNIX_TIMESTAMP(NOW()) is an hour off when daylight saving time ends.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000)"
