"""Which rows `penstock runs compare` shows, and how values are written."""

from __future__ import annotations

from typing import Any

from penstock.cli.compare import _json, _rows


def test_a_text_that_reads_like_a_number_differs_from_the_number() -> None:
    found: list[dict[str, Any]] = [{"rate": 1, "same": [1]}, {"rate": "1", "same": [1]}]
    assert _rows("parameter", found, False, _json) == [("parameter rate", "1", '"1"')]
    assert [row[0] for row in _rows("parameter", found, True, _json)] == ["parameter rate", "parameter same"]


def test_what_a_run_has_not_is_an_empty_cell_and_differs_from_an_empty_text() -> None:
    assert _rows("parameter", [{}, {"note": ""}], False, _json) == [("parameter note", "", "")]


def test_values_are_written_as_json_and_texts_as_they_are() -> None:
    assert [_json(value) for value in ("plain", "null", "", True, {"a": 1})] == [
        "plain", '"null"', "", "true", '{"a": 1}',
    ]  # fmt: skip
