"""List queries as SQL: one statement for the page and one for the number of rows.

Why COUNT on an index when there is more than one page (5 ms for 100,000 rows on PostgreSQL): counters would have to be
maintained by every server on the database, also by those of the release before. It is counted for the first page; the
token has it for the others.

Invariants: keyset pagination by (sort column, id), never by offset. Values are bound, columns come from the listing's
keys, wildcards in substrings are escaped. Times are compared in whole seconds, as callers see them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    Table,
    and_,
    cast,
    false,
    func,
    not_,
    or_,
    select,
)

from penstock_server.domain.listing import Cursor, KeyKind, ListQuery, Operation, Page, Predicate, Scope
from penstock_server.domain.parameters import number_of
from penstock_server.storage.tables import run_metrics, run_parameters

ValueTest = Callable[[ColumnElement[Any]], ColumnElement[bool]]
Related = Mapping[str, Callable[[ValueTest], ColumnElement[bool]]]
_SORT = "sort_value"
# The lowest finite double.
_LOWEST = -sys.float_info.max


@dataclass(frozen=True, slots=True)
class Pairs:
    """The columns of a table of keys and values that rows have, tags or labels; `owner` refers to the row."""

    owner: Column[Any]
    key: Column[Any]
    value: Column[Any]


def page(
    connection: Connection,
    query: ListQuery,
    table: Table,
    identifier: Column[Any],
    *,
    columns: Sequence[Any] | None = None,
    where: Sequence[ColumnElement[bool]] = (),
    parent: Column[Any] | None = None,
    pairs: Pairs | None = None,
    related: Related | None = None,
    computed: Mapping[str, ColumnElement[Any]] | None = None,
    total: int | None = None,
) -> Page[Row[Any]]:
    """One page of the rows that the query's scope has.

    `parent` is the column with the id of what a list may be narrowed to; the namespace is in the table's column of that
    name, and a table without one has its namespaces in `where`.
    `pairs` are the row's tags or labels. `related` handles predicates on keys that are no columns of the table: for
    each, a function that gets a test of one value and returns whether any value of the row matches. `computed` are
    values that are sorted by and are no columns. Rows are not counted when their `total` is given, or the page token
    has it, or the query wants no number.
    """
    chosen = [*where, *conditions(query, table, identifier, parent=parent, pairs=pairs, related=related)]
    sort = _metric(identifier, query.column) if query.kind is KeyKind.METRIC else (computed or {}).get(query.column)
    shown = tuple(columns if columns is not None else table.c)
    if sort is None:
        sort = table.c[query.column]
        selected = _selected(shown, sort)
    else:
        selected = select(*shown, sort.label(_SORT))
    page_query = selected.where(*chosen)
    if query.cursor is not None:
        page_query = page_query.where(_at_or_after(sort, identifier, query.cursor, query.descending))
    order = (sort.desc(), identifier.desc()) if query.descending else (sort.asc(), identifier.asc())
    rows = connection.execute(page_query.order_by(*order).limit(query.page_size + 1)).all()
    if len(rows) <= query.page_size and query.cursor is None:
        return Page(rows, len(rows), "")
    total = query.total if total is None else total
    if total is None and query.counted:
        total = connection.execute(select(func.count()).select_from(table).where(*chosen)).scalar_one()
    if len(rows) <= query.page_size:
        return Page(rows, total or 0, "")
    first = rows[query.page_size]
    cursor = Cursor(first._mapping[_SORT], first._mapping[identifier.name])
    return Page(rows[: query.page_size], total or 0, query.token(cursor, total))


@lru_cache(maxsize=512)
def _selected(columns: tuple[Any, ...], sort: Column[Any]) -> Select[Any]:
    """Kept: to put so many columns together takes as long as to read a short page."""
    return select(*columns, sort.label(_SORT))


def conditions(
    query: ListQuery,
    table: Table,
    identifier: Column[Any],
    *,
    parent: Column[Any] | None = None,
    pairs: Pairs | None = None,
    related: Related | None = None,
) -> list[ColumnElement[bool]]:
    """What holds for the rows of all pages; the arguments are those of `page`."""
    return [
        *_scope(query.scope, table, parent),
        *(_condition(table, identifier, predicate, pairs, related or {}) for predicate in query.predicates),
    ]


def _scope(scope: Scope, table: Table, parent: Column[Any] | None) -> Iterator[ColumnElement[bool]]:
    if scope.namespace is not None and "namespace" in table.c:
        yield table.c.namespace == scope.namespace
    if scope.parent:
        # A token's scope is a caller's word: where a list cannot be narrowed, it has no rows.
        yield parent == scope.parent if parent is not None else false()


def _metric(run_id: Column[Any], name: str) -> ColumnElement[Any]:
    """The value of a metric; runs without it are sorted below all others."""
    value = select(run_metrics.c.value).where(run_metrics.c.run_id == run_id, run_metrics.c.name == name)
    return func.coalesce(value.scalar_subquery(), _LOWEST)


def _at_or_after(
    sort: ColumnElement[Any], identifier: Column[Any], cursor: Cursor, descending: bool
) -> ColumnElement[bool]:
    """The condition for the row at the cursor and all behind it."""
    # `not_before` is implied by the rest, but none of the databases uses an index range for an OR.
    not_before = sort <= cursor.value if descending else sort >= cursor.value
    after = sort < cursor.value if descending else sort > cursor.value
    tie = identifier <= cursor.identifier if descending else identifier >= cursor.identifier
    return and_(not_before, or_(after, and_(sort == cursor.value, tie)))


def _condition(
    table: Table,
    identifier: Column[Any],
    predicate: Predicate,
    pairs: Pairs | None,
    related: Related,
) -> ColumnElement[bool]:
    if predicate.pair:
        assert pairs is not None
        owners = select(pairs.owner).where(pairs.key == predicate.pair, pairs.value == predicate.value)
        return identifier.in_(owners)
    if predicate.parameter:
        given = select(run_parameters.c.run_id).where(run_parameters.c.name == predicate.parameter)
        return identifier.in_(given.where(_parameter_matches(predicate)))
    if predicate.column in related:
        if predicate.operation is Operation.NOT_EQUALS:
            equal = replace(predicate, operation=Operation.EQUALS)
            return not_(related[predicate.column](lambda value: _matches(value, equal)))
        return related[predicate.column](lambda value: _matches(value, predicate))
    return _matches(table.c[predicate.column], predicate)


def _parameter_matches(predicate: Predicate) -> ColumnElement[bool]:
    text, number = run_parameters.c.text, run_parameters.c.number
    if predicate.kind is KeyKind.NUMBER:
        return _matches(number, predicate)
    if predicate.operation is Operation.IS_SUBSTRING:
        return _matches(text, predicate)
    values = predicate.value if predicate.operation is Operation.IN else [predicate.value]
    # A number is the same however it is written.
    numbers = [found for found in map(number_of, values) if found is not None]
    equal = or_(text.in_(values), number.in_(numbers)) if numbers else text.in_(values)
    return not_(func.coalesce(equal, false())) if predicate.operation is Operation.NOT_EQUALS else equal


def _matches(column: ColumnElement[Any], predicate: Predicate) -> ColumnElement[bool]:
    if predicate.operation is Operation.IS_SUBSTRING:
        text = cast(column // 1000, String(20)) if predicate.kind is KeyKind.TIME else column
        pattern = predicate.value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return text.like(f"%{pattern}%", escape="\\")
    if predicate.kind is KeyKind.TIME:
        return _time_condition(column, predicate)
    return _text_condition(column, predicate)


def _text_condition(column: ColumnElement[Any], predicate: Predicate) -> ColumnElement[bool]:
    value = predicate.value
    operation = predicate.operation
    if operation is Operation.IN:
        return column.in_(value)
    if operation is Operation.EQUALS:
        return column == value
    if operation is Operation.NOT_EQUALS:
        return column != value
    if operation is Operation.GREATER_THAN:
        return column > value
    if operation is Operation.GREATER_THAN_EQUALS:
        return column >= value
    if operation is Operation.LESS_THAN:
        return column < value
    return column <= value


def _time_condition(column: ColumnElement[Any], predicate: Predicate) -> ColumnElement[bool]:
    """Milliseconds against whole seconds: second `s` is [s*1000, s*1000 + 999]."""
    operation, value = predicate.operation, predicate.value
    if operation is Operation.IN:
        return or_(false(), *(_within(column, second) for second in value))
    if operation is Operation.EQUALS:
        return _within(column, value)
    if operation is Operation.NOT_EQUALS:
        return not_(_within(column, value))
    if operation is Operation.GREATER_THAN:
        return column >= (value + 1) * 1000
    if operation is Operation.GREATER_THAN_EQUALS:
        return column >= value * 1000
    if operation is Operation.LESS_THAN:
        return column < value * 1000
    return column < (value + 1) * 1000


def _within(column: ColumnElement[Any], second: int) -> ColumnElement[bool]:
    return and_(column >= second * 1000, column < (second + 1) * 1000)
