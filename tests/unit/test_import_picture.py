"""The picture of imports counts every arrow, says which point upward and which go in a circle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import import_picture


@pytest.fixture
def small_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    package = tmp_path / "picture_example"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "top.py").write_text("from picture_example import bottom, middle")
    (package / "middle.py").write_text("from picture_example import bottom")
    (package / "bottom.py").write_text("from picture_example import middle")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package.name
    sys.modules.pop(package.name, None)


def test_arrows_upward_and_circles(small_package: str) -> None:
    shown = import_picture.picture(small_package, [["top"], ["middle"], ["bottom"]])
    assert shown.arrows == {
        ("top", "bottom"): 1,
        ("top", "middle"): 1,
        ("middle", "bottom"): 1,
        ("bottom", "middle"): 1,
    }
    assert shown.upward == [("bottom", "middle")]
    assert set(shown.circle) == {"middle", "bottom"}


def test_parts_of_one_layer_do_not_import_each_other(small_package: str) -> None:
    assert ("top", "middle") in import_picture.picture(small_package, [["top", "middle"], ["bottom"]]).upward


@pytest.mark.parametrize(("package", "order"), import_picture.layers().items(), ids=lambda one: str(one)[:40])
def test_no_arrow_points_upward_or_in_a_circle(package: str, order: list[list[str]]) -> None:
    shown = import_picture.picture(package, order)
    assert (shown.upward, shown.circle) == ([], ())


def test_the_packages_import_each_other_one_way() -> None:
    assert import_picture.products().circle == ()
