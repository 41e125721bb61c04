"""List requests: filters, order, page tokens (api.md §2.3).

Invariants: a token names the first row of the next page by (sort value, id) and carries the order, the filter and the
listing it belongs to, with its scope: a token alone continues a listing, that of the same experiment, and one from
elsewhere is refused. The namespace of a list is always that of the request, never a token's. Everything a caller sends
is checked here; storage gets typed predicates on known keys only.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_plus

from penstock_server.domain.parameters import number_of
from penstock_server.errors import InvalidArgumentError

DEFAULT_PAGE = 20
MAX_PAGE = 200
METRIC = "metric:"
_MAX_FILTER = 64 * 1024
_MAX_TOKEN = 128 * 1024
_MAX_TOTAL = 2**31 - 1
_MAX_PREDICATES = 50
_MAX_VALUES = 1000
_PARAMETERS = "parameters."
_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """`total_size` counts the items of all pages, 0 where nobody asked; `next_page_token` is empty on the last page."""

    items: Sequence[_T]
    total_size: int
    next_page_token: str

    def with_items(self, items: Sequence[_U]) -> Page[_U]:
        """The same page, its items converted."""
        return Page(items, self.total_size, self.next_page_token)


class KeyKind(Enum):
    """How the values of a key are compared."""

    TEXT = "text"
    TIME = "time"
    """Stored in milliseconds, compared in whole seconds."""
    NUMBER = "number"
    """A whole number; for sorting only."""
    METRIC = "metric"
    """A number that a run reported, by its name; for sorting only."""


_VALUE_TYPES = {KeyKind.TEXT: str, KeyKind.TIME: int, KeyKind.NUMBER: int, KeyKind.METRIC: float}


class Operation(Enum):
    """The operations of predicates, with their numbers in upstream's filter.proto."""

    EQUALS = 1
    NOT_EQUALS = 2
    GREATER_THAN = 3
    GREATER_THAN_EQUALS = 5
    LESS_THAN = 6
    LESS_THAN_EQUALS = 7
    IN = 8
    IS_SUBSTRING = 9


_BY_SIZE = (
    Operation.GREATER_THAN,
    Operation.GREATER_THAN_EQUALS,
    Operation.LESS_THAN,
    Operation.LESS_THAN_EQUALS,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key by which a listing can be sorted and filtered; `column` is its name in the storage.

    `values`: all values of an enumeration, in upper case. Filters on such a key are compared in upper case, since v1
    clients send `Succeeded`, and NOT_EQUALS becomes IN of the other values, which can use an index.
    """

    column: str
    kind: KeyKind = KeyKind.TEXT
    sortable: bool = True
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A kind of list. `pairs`: the name of the map, tags or labels, whose entries may be filtered by, as
    `tags.<key>`; `parameters`: filtered by `parameters.<name>`; `metrics`: sorted by `metric:<name>`. A page has
    `default_page` items if nothing is said, and `max_page` at most.
    """

    name: str
    keys: Mapping[str, Key]
    pairs: str = ""
    parameters: bool = False
    metrics: bool = False
    default_page: int = DEFAULT_PAGE
    max_page: int = MAX_PAGE

    def sort_key(self, name: str) -> Key | None:
        """The key of a name, None when it cannot be sorted by."""
        if self.metrics and name.startswith(METRIC) and len(name) > len(METRIC):
            return Key(name[len(METRIC) :], KeyKind.METRIC)
        key = self.keys.get(name)
        return key if key is not None and key.sortable else None


@dataclass(frozen=True, slots=True)
class Predicate:
    """`value` is text or seconds, a tuple of them for IN. `pair` is the key of a tag or label, `parameter` the name of
    a parameter, else empty. The value for a parameter is text, or a number where it is compared by size.
    """

    operation: Operation
    column: str
    kind: KeyKind
    value: Any
    pair: str = ""
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The sort value and the id of the first row of a page."""

    value: Any
    identifier: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose list it is; storage gives rows of nothing else.

    `namespace` is None for rows of every namespace, and empty for those that belong to none. `parent` is the id of the
    experiment, the pipeline or the run whose list it is, empty for a list that is not narrowed to one.
    """

    namespace: str | None = None
    parent: str = ""


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A checked request. `column` is what is sorted by: a column, or a metric's name where `kind` is METRIC."""

    listing: Listing
    column: str
    kind: KeyKind
    descending: bool
    page_size: int
    predicates: tuple[Predicate, ...] = ()
    cursor: Cursor | None = None
    scope: Scope = EVERYTHING
    sort_key: str = "created_at"
    filter_text: str = ""
    total: int | None = None
    """The rows of all pages, as they were counted for the first one; None on that."""
    counted: bool = True
    """Whether somebody wants to know how many rows all pages have."""

    def token(self, cursor: Cursor, total: int | None) -> str:
        """The page token for the page that begins with this row; `total` are the rows of all pages, None where they
        were not counted.
        """
        document = {
            "listing": self.listing.name,
            "scope": self.scope.parent,
            "namespace": self.scope.namespace,
            "sort": self.sort_key,
            "desc": self.descending,
            "filter": self.filter_text,
            "value": cursor.value,
            "id": cursor.identifier,
            **({} if total is None else {"total": total}),
        }
        return base64.b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The parameters of a list request, not yet checked."""

    page_token: str = ""
    page_size: int = 0
    sort_by: str = ""
    filter: str = ""
    counted: bool = True
    """As in ListQuery."""


def parse(listing: Listing, request: ListRequest, scope: Scope = EVERYTHING) -> ListQuery:
    """`scope` is narrowed to the parent that a page token names. Raises InvalidArgumentError naming the field."""
    if request.page_size < 0:
        raise InvalidArgumentError("it must not be negative", "page_size")
    page_size = min(request.page_size or listing.default_page, listing.max_page)
    sort_key, descending = _order(listing, request.sort_by)
    filter_text = _unescape_filter(request.filter)
    cursor, total = None, None
    if request.page_token:
        token = _token(request.page_token, listing, scope)
        scope = replace(scope, parent=token["scope"])
        if request.sort_by and (sort_key, descending) != (token["sort"], token["desc"]):
            raise InvalidArgumentError("it differs from the order of the page token", "sort_by")
        if request.filter and filter_text != token["filter"]:
            raise InvalidArgumentError("it differs from the filter of the page token", "filter")
        sort_key, descending, filter_text = token["sort"], token["desc"], token["filter"]
        cursor, total = Cursor(token["value"], token["id"]), token.get("total")
    key = listing.sort_key(sort_key)
    if key is None or (cursor is not None and type(cursor.value) is not _VALUE_TYPES[key.kind]):
        raise _bad_token()
    return ListQuery(
        listing=listing,
        column=key.column,
        kind=key.kind,
        descending=descending,
        page_size=page_size,
        predicates=_predicates(listing, filter_text),
        cursor=cursor,
        scope=scope,
        sort_key=sort_key,
        filter_text=filter_text,
        total=total,
        counted=request.counted,
    )


def _order(listing: Listing, sort_by: str) -> tuple[str, bool]:
    words = sort_by.split()
    if not words:
        return "created_at", False
    if len(words) > 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
        raise InvalidArgumentError(
            f"{sort_by[:80]!r} is not of the form `field`, `field asc` or `field desc`", "sort_by"
        )
    # Names of metrics are case-sensitive.
    name = words[0] if words[0].startswith(METRIC) else words[0].lower()
    if listing.sort_key(name) is None:
        known = ", ".join([*sorted(name for name in listing.keys if listing.sort_key(name)), *_metric_hint(listing)])
        raise InvalidArgumentError(f"cannot sort {listing.name} by {name[:80]!r}; known fields: {known}", "sort_by")
    return name, len(words) == 2 and words[1].lower() == "desc"


def _metric_hint(listing: Listing) -> list[str]:
    return [f"{METRIC}<name>"] if listing.metrics else []


def _unescape_filter(text: str) -> str:
    """Unescapes a filter that the transport has unescaped once, because the web UI escapes twice."""
    if len(text) > _MAX_FILTER:
        raise InvalidArgumentError(f"it is longer than {_MAX_FILTER} characters", "filter")
    stripped = text.strip()
    return unquote_plus(stripped) if "%" in stripped else stripped


def _token(text: str, listing: Listing, scope: Scope) -> dict[str, Any]:
    if len(text) > _MAX_TOKEN:
        raise _bad_token()
    try:
        token = json.loads(base64.b64decode(text.encode("ascii"), validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _bad_token() from error
    shape = {"listing": str, "scope": str, "sort": str, "desc": bool, "filter": str, "id": str}
    if not isinstance(token, dict) or any(type(token.get(name)) is not kind for name, kind in shape.items()):
        raise _bad_token()
    # Tokens of the release before have neither total nor namespace, and it had none; one of a list that was not counted
    # has no total.
    total = token.get("total", 0)
    if type(total) is not int or not 0 <= total <= _MAX_TOTAL:
        raise _bad_token()
    other_namespace = token.get("namespace") != scope.namespace
    if token["listing"] != listing.name or other_namespace or (scope.parent and token["scope"] != scope.parent):
        raise InvalidArgumentError("it belongs to another listing; start without a token", "page_token")
    return token


def _bad_token() -> InvalidArgumentError:
    return InvalidArgumentError("it is not a token this server gave out; start without a token", "page_token")


def _predicates(listing: Listing, text: str) -> tuple[Predicate, ...]:
    if not text:
        return ()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"it is no JSON: {error}", "filter") from error
    if not isinstance(document, dict):
        raise InvalidArgumentError('it must be an object {"predicates": [...]}', "filter")
    unknown = set(document) - {"predicates"}
    if unknown:
        raise InvalidArgumentError(f"unknown field {sorted(unknown)[0][:80]!r}", "filter")
    entries = document.get("predicates") or []
    if not isinstance(entries, list) or len(entries) > _MAX_PREDICATES:
        raise InvalidArgumentError(f"predicates must be a list of at most {_MAX_PREDICATES}", "filter.predicates")
    return tuple(_predicate(listing, entry, f"filter.predicates[{index}]") for index, entry in enumerate(entries))


_VALUES = ("int_value", "long_value", "string_value", "timestamp_value", "int_values", "long_values", "string_values")


def _predicate(listing: Listing, entry: Any, place: str) -> Predicate:
    if not isinstance(entry, dict):
        raise InvalidArgumentError("a predicate must be an object", place)
    fields = {_snake(name): value for name, value in entry.items()}
    if "op" in fields and "operation" not in fields:
        # The name in v1beta1.
        fields["operation"] = fields.pop("op")
    unknown = set(fields) - {"operation", "key", *_VALUES}
    if unknown:
        raise InvalidArgumentError(f"unknown field {sorted(unknown)[0][:80]!r}", place)
    operation = _operation(fields.get("operation"), place)
    name = fields.get("key")
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError("the key is missing", place)
    kind, value = _operand(fields, operation, place)
    prefix = f"{listing.pairs}."
    if listing.pairs and name.startswith(prefix):
        if operation is not Operation.EQUALS or kind != "string_value":
            raise InvalidArgumentError(f"{listing.pairs} can be compared with EQUALS and a string_value only", place)
        return Predicate(operation, "", KeyKind.TEXT, _text(value, place), pair=name[len(prefix) :])
    values = value.get("values") if isinstance(value, dict) and kind.endswith("_values") else [value]
    if not isinstance(values, list) or len(values) > _MAX_VALUES:
        raise InvalidArgumentError(f"values must be a list of at most {_MAX_VALUES}", place)
    if listing.parameters and name.startswith(_PARAMETERS) and len(name) > len(_PARAMETERS):
        return _parameter_predicate(operation, name[len(_PARAMETERS) :], values, place)
    key = listing.keys.get(name)
    if key is None:
        known = ", ".join(sorted(listing.keys))
        raise InvalidArgumentError(f"cannot filter {listing.name} by {name[:80]!r}; known keys: {known}", place)
    convert = _seconds if key.kind is KeyKind.TIME and operation is not Operation.IS_SUBSTRING else _text
    converted = tuple(convert(value, place) for value in values)
    if key.values:
        converted = tuple(str(value).upper() for value in converted)
        if operation is Operation.NOT_EQUALS:
            other_values = tuple(value for value in key.values if value != converted[0])
            return Predicate(Operation.IN, key.column, key.kind, other_values)
    return Predicate(operation, key.column, key.kind, converted if operation is Operation.IN else converted[0])


def _parameter_predicate(operation: Operation, name: str, values: list[Any], place: str) -> Predicate:
    texts = tuple(_text(value, place) for value in values)
    if operation not in _BY_SIZE:
        return Predicate(operation, "", KeyKind.TEXT, texts if operation is Operation.IN else texts[0], parameter=name)
    number = number_of(texts[0])
    if number is None:
        raise InvalidArgumentError(f"{operation.name} of a parameter needs a number, such as 0.5", place)
    return Predicate(operation, "", KeyKind.NUMBER, number, parameter=name)


def _operand(fields: Mapping[str, Any], operation: Operation, place: str) -> tuple[str, Any]:
    """The field name and value of a predicate's operand, which must fit the operation."""
    value_fields = [value for value in _VALUES if fields.get(value) is not None]
    if len(value_fields) != 1:
        raise InvalidArgumentError("exactly one value is needed", place)
    kind = value_fields[0]
    if (operation is Operation.IN) != kind.endswith("_values"):
        expected = "a list of values" if operation is Operation.IN else "a single value"
        raise InvalidArgumentError(f"{operation.name} needs {expected}", place)
    if operation is Operation.IS_SUBSTRING and kind != "string_value":
        raise InvalidArgumentError("IS_SUBSTRING needs a string_value", place)
    return kind, fields[kind]


def _operation(value: Any, place: str) -> Operation:
    try:
        return Operation[value] if isinstance(value, str) else Operation(value)
    except (KeyError, ValueError, TypeError) as error:
        names = ", ".join(operation.name for operation in Operation)
        raise InvalidArgumentError(f"the operation is none of {names}", place) from error


def _text(value: Any, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidArgumentError("the value must be text or a whole number", place)
    return str(value)


def _seconds(value: Any, place: str) -> int:
    """Whole seconds from a number, digits as text, or an RFC 3339 time."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return value
    if isinstance(value, str):
        text = value.strip()
        if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) <= 16:
            return int(text)
        try:
            return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
        except (ValueError, OverflowError, OSError):
            pass
    raise InvalidArgumentError("the value must be a time: seconds since the epoch or RFC 3339", place)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
