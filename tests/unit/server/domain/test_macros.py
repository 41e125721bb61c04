"""Macros in arguments of runs."""

from __future__ import annotations

from penstock_server.domain.macros import expand

NOW = 1_700_000_000_000


def test_macros_are_expanded_in_every_string() -> None:
    value = {"a": ["run [[RunUUID]]", 1], "b": "[[CurrentTime.2006-01-02]]"}
    assert expand(value, run_id="r1", now=NOW) == {"a": ["run r1", 1], "b": "2023-11-14"}


def test_what_has_no_value_stays() -> None:
    assert (
        expand("[[ScheduledTime]] [[Index]] [[Other]]", run_id="r", now=NOW) == "[[ScheduledTime]] [[Index]] [[Other]]"
    )
