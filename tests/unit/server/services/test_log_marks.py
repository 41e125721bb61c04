"""Whose lines are whose in the log of a Pod that many attempts share, however the log is split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from penstock_server.services.log_marks import PREFIX, MarkedPart, Place

MARK = "m1"
words = st.sampled_from(
    [
        b"\n", b"\n", b"a", b"\xff", b"one\n", b":", b"::", PREFIX, PREFIX[:7], b"m1", b"other", b" ", b"begin\n",
        b"end\n", b"\n::penstock-attempt m1 begin\n", b"\n::penstock-attempt m1 end\n",
        b"\n::penstock-attempt other begin\n", b"\n::penstock-attempt other end\n", PREFIX + b"M1 end\n",
        PREFIX + b"x" * 64 + b" end\n", PREFIX + b"x" * 500,
    ]
)  # fmt: skip
logs = st.lists(words, max_size=30).map(b"".join)


def part(pieces: Iterable[bytes], mark: str = MARK) -> tuple[bytes, Place]:
    cutter = MarkedPart(mark)
    got = b"".join([cutter.feed(piece) for piece in pieces])
    return got + cutter.finish(), cutter.place


def expected(log: bytes) -> tuple[bytes, Place]:
    """Of a whole log."""
    log = b"\n" + log
    begin, end = b"\n" + PREFIX + b"m1 begin\n", b"\n" + PREFIX + b"m1 end\n"
    head, found, rest = log.partition(begin)
    if end in head:
        return b"", Place.LOST
    if not found:
        return b"", Place.BEFORE
    mark = re.search(rb"\n::penstock-attempt [a-z0-9]{1,63} (begin|end)\n", b"\n" + rest)
    if mark is None:
        return rest, Place.WITHIN
    text = (b"\n" + rest)[1 : mark.start()] if mark.start() else b""
    text = text if not text or text.endswith(b"\n") else text + b"\n"
    return text, Place.ENDED if mark.group() == end else Place.CUT_SHORT


@given(logs, st.lists(st.integers(0, 600), max_size=20))
@example(b"\n::penstock-attempt m1 begin\n\n::penstock-attempt m1 end\n", [28])
@example(b"\n::penstock-attempt m1 end\n\n::penstock-attempt m1 begin\nown or not\n", [])
@example(b"\n::penstock-attempt m1 begin\na\n\n\n::penstock-attempt m1 end\n", [30, 31, 32])
def test_any_split_of_a_log_gives_the_same(log: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    pieces = [log[start:end] for start, end in pairwise(bounds)]
    assert part(pieces) == expected(log)
    assert part(log[at : at + 1] for at in range(len(log))) == expected(log)


@given(logs)
def test_little_is_held_back(log: bytes) -> None:
    cutter = MarkedPart(MARK)
    for at in range(len(log)):
        cutter.feed(log[at : at + 1])
        assert len(cutter._held) < 100


@given(st.lists(st.sampled_from([b"a", b"\n", b"::", PREFIX, b" End\n"]), max_size=12).map(b"".join))
def test_what_an_attempt_said_comes_back(said: bytes) -> None:
    """As `worker.c` writes it; a last line that has not ended does."""
    log = b"\n%bm0 begin\nsecret\n\n%bm0 end\n\n%bm1 begin\n%b\n%bm1 end\n" % (PREFIX, PREFIX, PREFIX, said, PREFIX)
    log += b"\n%bm2 begin\nsecret\n" % PREFIX
    whole = said if not said or said.endswith(b"\n") else said + b"\n"
    assert part([log]) == (whole, Place.ENDED)


def test_a_line_comes_at_once() -> None:
    cutter = MarkedPart(MARK)
    assert cutter.feed(b"\n::penstock-attempt m1 begin\none\n") == b"one\n"
    assert cutter.feed(b"two") == b"two"
    assert cutter.feed(b"\n") == b"\n"
    assert cutter.feed(b"\n") == b"", "it may be that of a mark"
    assert cutter.feed(b"three\n") == b"\nthree\n"


@pytest.mark.parametrize("what", [b"begin", b"end"])
def test_the_mark_of_another_attempt_ends_it(what: bytes) -> None:
    """The kubelet may lose lines where it rotates a log: those that follow may be anybody's."""
    log = b"\n%bm1 begin\nown\n\n%bm2 %b\nsecret\n" % (PREFIX, PREFIX, what)
    assert part([log]) == (b"own\n", Place.CUT_SHORT)


def test_what_is_left_of_a_rotated_log_may_be_anybodys() -> None:
    assert part([b"secret\nown\n\n::penstock-attempt m1 end\nsecret\n"]) == (b"", Place.LOST)


def test_an_attempt_that_ends_its_own_part_hides_its_own_lines_only() -> None:
    log = b"\n%bm1 begin\nown\n%bm1 end\nhidden\n\n%bm1 end\n\n%bm1 begin\nsecret\n" % ((PREFIX,) * 4)
    assert part([log]) == (b"own\n", Place.ENDED)
