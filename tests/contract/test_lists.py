"""Every key of every list, with every operation and in both orders, on SQLite, PostgreSQL and MariaDB (api.md §2.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from penstock_server.domain.caller import Call, Caller, calling
from penstock_server.domain.listing import KeyKind, Listing, ListRequest, Operation, Page
from penstock_server.errors import InvalidArgumentError
from penstock_server.services import experiments, pipelines, recurring_runs, runs
from penstock_server.services.runs import NewRun
from penstock_server.storage.database import Database

from tests.support.world import World

ROWS = 7
LISTS: dict[str, tuple[Listing, str, Callable[[World, ListRequest], Page[Any]]]] = {
    "experiments": (experiments.LISTING, "experiment_id", lambda world, ask: world.experiments.list(ask)),
    "pipelines": (pipelines.PIPELINES, "pipeline_id", lambda world, ask: world.pipelines.list(ask)),
    "versions": (
        pipelines.VERSIONS,
        "pipeline_version_id",
        lambda world, ask: world.pipelines.list_versions(world.pipeline_id, ask),
    ),
    "runs": (runs.LISTING, "run_id", lambda world, ask: world.runs.list(ask)),
    "recurring runs": (
        recurring_runs.LISTING,
        "recurring_run_id",
        lambda world, ask: world.schedules.list(ask),
    ),
}
PARTITIONS = [
    (Operation.EQUALS, Operation.NOT_EQUALS),
    (Operation.LESS_THAN, Operation.GREATER_THAN_EQUALS),
    (Operation.GREATER_THAN, Operation.LESS_THAN_EQUALS),
]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path}/test.db"
    database = Database(url if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_url"))
    database.migrate()
    made = World(database)
    for number in range(ROWS):
        made.add(number)
    yield made
    database.dispose()


def predicate(key: str, operation: Operation, kind: KeyKind, value: Any) -> str:
    name = "long_value" if kind is KeyKind.TIME and operation is not Operation.IS_SUBSTRING else "string_value"
    given = {name: value}
    if operation is Operation.IN:
        given = {f"{name}s": {"values": [value]}}
    return json.dumps({"predicates": [{"key": key, "operation": operation.name, **given}]})


@pytest.mark.parametrize("name", LISTS)
def test_orders(world: World, name: str) -> None:
    """Pages of two give what one page gives, the other order its reverse; a token alone goes on."""
    listing, identifier, rows = LISTS[name]

    def ids(ask: ListRequest) -> tuple[list[str], str]:
        page = rows(world, ask)
        assert page.total_size == len(everything)
        return [getattr(one, identifier) for one in page.items], page.next_page_token

    everything = rows(world, ListRequest(page_size=200)).items
    assert len(everything) >= ROWS
    sortable = [key for key in listing.keys if listing.sort_key(key)]
    for key in [*sortable, *(["metric:absent"] if listing.metrics else [])]:
        wanted, end = ids(ListRequest(page_size=200, sort_by=f"{key} asc"))
        assert end == ""
        assert ids(ListRequest(page_size=200, sort_by=f"{key} desc"))[0] == wanted[::-1], key
        seen, token = ids(ListRequest(page_size=2, sort_by=key))
        while token:
            page, token = ids(ListRequest(page_size=2, page_token=token))
            seen += page
        assert seen == wanted, key


@pytest.mark.parametrize("name", LISTS)
def test_filters(world: World, name: str) -> None:
    """Whatever is compared, an operation and its opposite share the rows among them."""
    listing, _, rows = LISTS[name]
    first = rows(world, ListRequest(page_size=1))
    one, everything = first.items[0], first.total_size

    def count(key: str, operation: Operation, value: Any) -> int:
        return rows(world, ListRequest(filter=predicate(key, operation, listing.keys[key].kind, value))).total_size

    for key, meant in listing.keys.items():
        found = getattr(one, meant.column, None)
        value: Any = found.value if isinstance(found, Enum) else found
        if meant.kind is KeyKind.TIME:
            value = value // 1000
        known = isinstance(value, (str, int))
        value = value if known else "only"
        for operation, opposite in PARTITIONS if meant.sortable else PARTITIONS[:1]:
            assert count(key, operation, value) + count(key, opposite, value) == everything, (key, operation)
        equal = count(key, Operation.EQUALS, value)
        assert equal == count(key, Operation.IN, value), key
        assert equal >= known, key
        assert count(key, Operation.IS_SUBSTRING, str(value)) >= known, key


@pytest.mark.parametrize("name", [name for name, (listing, _, _) in LISTS.items() if listing.pairs])
def test_tags_and_labels(world: World, name: str) -> None:
    listing, _, rows = LISTS[name]

    def count(key: str, value: str) -> int:
        return rows(world, ListRequest(filter=predicate(key, Operation.EQUALS, KeyKind.TEXT, value))).total_size

    team, other = f"{listing.pairs}.team", f"{listing.pairs}.other"
    assert (count(team, "a"), count(team, "b"), count(other, "a")) == (ROWS, 0, 0)


def test_labels_and_users_are_found_as_they_are_written(world: World) -> None:
    labels = {"git.branch": "main", "team": "A"}
    with calling(Call(Caller("Anna"))):
        made = world.runs.create(NewRun("Anna's", pipeline_spec=world.spec, labels=labels))
    assert dict(world.runs.get(made.run_id).run.labels) == labels
    for key, value, found in (
        ("labels.git.branch", "main", 1),
        ("labels.team", "A", 1),
        ("labels.team", "a", ROWS),
        ("labels.Team", "A", 0),
        ("created_by", "Anna", 1),
        ("created_by", "anna", 0),
        ("created_by", "", ROWS),
    ):
        ask = ListRequest(filter=predicate(key, Operation.EQUALS, KeyKind.TEXT, value))
        assert world.runs.list(ask).total_size == found, (key, value)
    world.runs.delete(made.run_id)
    ask = ListRequest(filter=predicate("labels.team", Operation.EQUALS, KeyKind.TEXT, "A"))
    assert world.runs.list(ask).total_size == 0


def test_runs_are_found_by_what_they_were_given(world: World) -> None:
    """A number is the same however it is written, a value that no index holds is not found, nor is a part of it."""
    kinds = {"rate": "NUMBER_DOUBLE", "count": "NUMBER_INTEGER", "name": "STRING", "flag": "BOOLEAN", "layers": "LIST"}
    declared = {name: {"parameterType": kind} for name, kind in kinds.items()}
    spec = {**world.spec, "root": {**world.spec["root"], "inputDefinitions": {"parameters": declared}}}
    given = {"rate": 0.1, "count": 12, "name": "a=b", "flag": True, "layers": [1, "x"]}
    made = world.runs.create(NewRun("given", pipeline_spec=spec, parameters=given))
    other = {**given, "rate": 0.25, "count": 2**40, "name": "x" * 256, "flag": False}
    world.runs.create(NewRun("other", pipeline_spec=spec, parameters=other))
    for key, operation, value, found in (
        ("rate", "EQUALS", "0.10", {"given"}),
        ("rate", "NOT_EQUALS", "0.1", {"other"}),
        ("rate", "GREATER_THAN", "0.1", {"other"}),
        ("rate", "GREATER_THAN_EQUALS", "1e-1", {"given", "other"}),
        ("rate", "LESS_THAN", "0.25", {"given"}),
        ("rate", "LESS_THAN_EQUALS", "0.25", {"given", "other"}),
        ("rate", "LESS_THAN", "nan", None),
        ("rate", "GREATER_THAN", "much", None),
        ("count", "EQUALS", "12", {"given"}),
        ("count", "GREATER_THAN", "12", {"other"}),
        ("name", "EQUALS", "a=b", {"given"}),
        ("name", "EQUALS", "A=B", set()),
        ("name", "EQUALS", "x" * 255, set()),
        ("name", "IS_SUBSTRING", "=", {"given"}),
        ("name", "NOT_EQUALS", "b", {"given"}),
        ("flag", "EQUALS", "true", {"given"}),
        ("layers", "EQUALS", '[1,"x"]', {"given", "other"}),
        ("absent", "NOT_EQUALS", "1", set()),
    ):
        asked = {"operation": operation, "key": f"parameters.{key}", "string_value": value}
        ask = ListRequest(filter=json.dumps({"predicates": [asked]}))
        if found is None:
            with pytest.raises(InvalidArgumentError, match="needs a number") as refused:
                world.runs.list(ask)
            assert refused.value.field == "filter.predicates[0]"
        else:
            assert {run.display_name for run in world.runs.list(ask).items} == found, (key, operation, value)
    among = {"operation": "IN", "key": "parameters.rate", "string_values": {"values": ["0.1", "7"]}}
    ask = ListRequest(filter=json.dumps({"predicates": [among]}))
    assert [run.display_name for run in world.runs.list(ask).items] == ["given"]
    world.runs.delete(made.run_id)
    assert world.runs.list(ask).total_size == 0


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({"": "x"}, "run.labels"),
        ({"k" * 64: "x"}, f"run.labels.{'k' * 64}"),
        ({"k": "x" * 256}, "run.labels.k"),
        ({"k": "a\0b"}, "run.labels.k"),
        ({str(number): "x" for number in range(21)}, "run.labels"),
    ],
)
def test_labels_that_are_refused(world: World, labels: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        world.runs.create(NewRun("labelled", pipeline_spec=world.spec, labels=labels))
    assert refused.value.field == field
