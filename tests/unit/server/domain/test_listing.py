"""Page tokens, order and filters as the caller sends them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_server.domain.listing import Cursor, Key, KeyKind, Listing, ListRequest, Scope, parse
from penstock_server.errors import InvalidArgumentError

KEYS = {"created_at": Key("created_at", KeyKind.TIME), "name": Key("name", KeyKind.TEXT)}
THINGS = Listing("things", KEYS)
OTHERS = Listing("others", KEYS)


def test_a_token_carries_its_listing_order_and_filter() -> None:
    text = json.dumps({"predicates": [{"operation": "EQUALS", "key": "name", "string_value": "a"}]})
    first = parse(THINGS, ListRequest(sort_by="name desc", filter=text))
    token = first.token(Cursor("a", "id-1"), 7)
    second = parse(THINGS, ListRequest(page_token=token))
    assert (second.sort_key, second.descending, second.predicates) == ("name", True, first.predicates)
    with pytest.raises(InvalidArgumentError, match="another listing"):
        parse(OTHERS, ListRequest(page_token=token))
    with pytest.raises(InvalidArgumentError, match="sort_by"):
        parse(THINGS, ListRequest(page_token=token, sort_by="created_at"))


def test_a_token_goes_on_in_its_scope_alone() -> None:
    token = parse(THINGS, ListRequest(), Scope("team-a", "e1")).token(Cursor(1, "id-1"), 7)
    request = ListRequest(page_token=token)
    assert parse(THINGS, request, Scope("team-a")).scope == Scope("team-a", "e1")
    assert parse(THINGS, request, Scope("team-a", "e1")).scope == Scope("team-a", "e1")
    for other in (Scope("team-a", "e2"), Scope("team-b", "e1"), Scope("team-b"), Scope(""), Scope()):
        with pytest.raises(InvalidArgumentError, match="another listing"):
            parse(THINGS, request, other)
    everywhere = parse(THINGS, ListRequest(), Scope(parent="e1")).token(Cursor(1, "id-1"), 7)
    assert parse(THINGS, ListRequest(page_token=everywhere)).scope == Scope(parent="e1")
    with pytest.raises(InvalidArgumentError, match="another listing"):
        parse(THINGS, ListRequest(page_token=everywhere), Scope("team-a"))


@pytest.mark.parametrize("total", [-1, 2**31, 1.0, True, "7", None])
def test_a_token_has_a_total_that_can_be(total: object) -> None:
    token = parse(THINGS, ListRequest()).token(Cursor(1, "id-1"), 7)
    assert parse(THINGS, ListRequest(page_token=token)).total == 7
    document = json.loads(base64.b64decode(token))
    document["total"] = total
    forged = base64.b64encode(json.dumps(document).encode()).decode()
    with pytest.raises(InvalidArgumentError, match="page_token"):
        parse(THINGS, ListRequest(page_token=forged))


def test_a_token_of_the_release_before_has_neither_namespace_nor_total() -> None:
    document = json.loads(base64.b64decode(parse(THINGS, ListRequest()).token(Cursor(1, "id-1"), 7)))
    del document["namespace"], document["total"]
    token = base64.b64encode(json.dumps(document).encode()).decode()
    query = parse(THINGS, ListRequest(page_token=token))
    assert (query.cursor, query.total) == (Cursor(1, "id-1"), None)
    with pytest.raises(InvalidArgumentError, match="another listing"):
        parse(THINGS, ListRequest(page_token=token), Scope("team-a"))


def test_the_web_ui_escapes_filters_twice() -> None:
    plain = '{"predicates":[{"operation":1,"key":"name","string_value":"a"}]}'
    text = quote(plain, safe="")
    assert parse(THINGS, ListRequest(filter=text)).predicates[0].value == "a"


def test_what_differs_from_one_of_few_values_is_one_of_the_others() -> None:
    states = Listing("things", {**KEYS, "state": Key("state", values=("NEW", "OLD", "GONE"))})

    def asked(operation: str, value: str) -> tuple[str, object]:
        text = json.dumps({"predicates": [{"operation": operation, "key": "state", "string_value": value}]})
        (found,) = parse(states, ListRequest(filter=text)).predicates
        return found.operation.name, found.value

    assert asked("NOT_EQUALS", "Old") == ("IN", ("NEW", "GONE"))
    assert asked("NOT_EQUALS", "none") == ("IN", ("NEW", "OLD", "GONE"))
    assert asked("EQUALS", "Old") == ("EQUALS", "OLD")


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80))
def test_whatever_is_sent_is_understood_or_refused(token: str, text: str, order: str) -> None:
    try:
        parse(THINGS, ListRequest(page_token=token, filter=text, sort_by=order))
    except InvalidArgumentError as error:
        assert error.field
