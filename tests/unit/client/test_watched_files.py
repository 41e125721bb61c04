"""Files that are watched: looked at when asked, at most once an interval, and taken whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from penstock.watched_files import Watched


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def text_of(path: Path) -> Callable[[], str]:
    def load() -> str:
        text = path.read_text()
        if text.startswith("bad"):
            raise ValueError(text)
        return text

    return load


def replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_files_are_looked_at_once_an_interval(tmp_path: Path) -> None:
    path, clock = tmp_path / "file", Clock()
    path.write_text("one")
    watched = Watched("words", [path], text_of(path), interval=1.0, clock=clock)
    replace(path, "two")
    clock.now = 0.9
    assert watched.current() == "one"
    clock.now = 1.0
    assert watched.current() == "two"
    replace(path, "three")
    clock.now = 1.9
    assert watched.current() == "two"
    clock.now = 2.0
    assert watched.current() == "three"
    assert (watched.reloads, watched.failures) == (2, 0)


def test_what_stays_is_the_same_object(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched("words", [path], lambda: [path.read_text()], interval=0)
    assert watched.current() is watched.current()


def test_what_cannot_be_used_is_counted_once_and_the_one_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched("words", [path], text_of(path), interval=0)
    replace(path, "bad")
    assert [watched.current() for _ in range(3)] == ["one"] * 3
    assert watched.failures == 1
    path.unlink()
    assert [watched.current() for _ in range(3)] == ["one"] * 3
    assert watched.failures == 2
    replace(path, "two")
    assert watched.current() == "two"


def test_files_replaced_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    during: list[str] = []

    def load() -> str:
        text = path.read_text()
        if during:
            replace(path, during.pop())
        return text

    watched = Watched("words", [path], load, interval=0)
    replace(path, "two")
    during.append("three")
    assert watched.current() == "one"
    assert watched.current() == "three"
    assert (watched.reloads, watched.failures) == (1, 0)


def test_a_link_that_points_elsewhere_is_another_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("a")
    watched = Watched("words", [link], text_of(link), interval=0)
    fresh = tmp_path / "fresh"
    fresh.symlink_to("b")
    fresh.replace(link)
    assert watched.current() == "b"


def test_what_could_not_be_used_is_tried_again_later(tmp_path: Path) -> None:
    """As when a program has as many open files as it may, for a moment."""
    path, clock = tmp_path / "file", Clock()
    path.write_text("one")
    tries: list[float] = []

    def load() -> str:
        tries.append(clock.now)
        if clock.now and len(tries) < 4:
            raise OSError("too many open files")
        return path.read_text()

    watched = Watched("words", [path], load, interval=1.0, retry=10.0, clock=clock)
    replace(path, "two")
    while clock.now < 40:
        clock.now += 1
        assert watched.current() == ("one" if clock.now < 21 else "two")
    assert tries == [0, 1, 11, 21]
    assert (watched.reloads, watched.failures) == (1, 1)


def test_what_was_there_before_others_that_could_not_be_used_is_taken_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    (tmp_path / "bad").write_text("bad")
    (tmp_path / "link").symlink_to("file")
    watched = Watched("words", [tmp_path / "link"], text_of(tmp_path / "link"), interval=0, keep=False)
    for target in ("bad", "file"):
        (tmp_path / "fresh").symlink_to(target)
        (tmp_path / "fresh").replace(tmp_path / "link")
        if target == "bad":
            for _ in range(2):
                with pytest.raises(ValueError, match="bad"):
                    watched.current()
    assert watched.current() == "one"
    assert (watched.reloads, watched.failures) == (0, 1)


def test_other_errors_are_no_word_about_the_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched("words", [path], text_of(path), interval=0, refused=(OSError,))
    replace(path, "bad")
    with pytest.raises(ValueError, match="bad"):
        watched.current()


def test_the_log_says_once_what_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched("words", [path], text_of(path), interval=0, retry=0)
    replace(path, "bad")
    for _ in range(3):
        watched.current()
    assert caplog.messages == [f"words in {path} cannot be used; those before stay in use: bad"]
