"""Attempts and timelines as tables of the command line.

Invariants: a phase has one letter everywhere, which the legend explains; a bar needs no colour to be read. A phase that
is shorter than a column of the bar is not drawn, unless the attempt has no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock_api.v1 import insight_pb2 as pb
from rich.table import Table
from rich.text import Text

from penstock.render import duration, shown, state_text, table

WIDTH = 60
LINES = 40
_PREFIX = "ATTEMPT_PHASE_"
_LETTERS = {
    "QUEUED": (".", "dim"),
    "SCHEDULING": ("s", "magenta"),
    "PREPARING": ("p", "blue"),
    "FETCHING": ("f", "cyan"),
    "RUNNING": ("#", "green"),
    "STORING": ("o", "cyan"),
    "CONCLUDING": ("c", "dim"),
}
LEGEND = "  ".join(f"{letter} {name.lower()}" for name, (letter, _) in _LETTERS.items())


def attempt_table(attempts: Sequence[pb.Attempt]) -> Table:
    """With the seconds of each phase that any of them went through, of one that lasts that it goes on, and with what
    they run in if that is known of any."""
    placed = any(one.placement for one in attempts)
    used = {_name(span.phase) for one in attempts for span in one.phases}
    names = [name for name in _LETTERS if name in used]
    rows = [
        (
            one.path,
            one.number,
            state_text(one.state),
            *(_seconds(one, name) for name in names),
            *([one.placement] if placed else []),
            one.error.splitlines()[0] if one.error else "",
        )
        for one in attempts
    ]
    where = ["runs in"] if placed else []
    return table(("task", "attempt", "state", *(name.lower() for name in names), *where, "error"), rows)


def bars(found: pb.Timeline) -> Table:
    """A line for each attempt."""
    start, end, critical = *_range(found), {one.path for one in found.critical_path}
    rows = []
    for one in found.attempts:
        mark = "*" if one.path in critical else ""
        millis = sum(_end(span, end) - span.start.ToMilliseconds() for span in one.phases)
        name = one.path if one.number == 1 else f"{one.path} ({one.number})"
        rows.append((mark, name, state_text(one.state), _bar(one, start, end), duration(max(0, millis))))
    return table(("", "task", "state", f"0 … {duration(end - start)}", "took"), rows)


def counts(found: pb.Timeline) -> Table:
    """A line for each bin: since the beginning, and how many attempts were in each phase, on the average."""
    start, _ = _range(found)
    rows = [
        (
            duration(one.start.ToMilliseconds() - start),
            *(_number(one.attempts.get(_PREFIX + name, 0)) for name in _LETTERS),
        )
        for one in found.bins
    ]
    return table(("after", *(name.lower() for name in _LETTERS)), rows, f"{found.total_attempts} attempts")


def _bar(attempt: pb.Attempt, start: int, end: int) -> Text:
    bar = Text()
    scale = WIDTH / max(1, end - start)
    for span in attempt.phases:
        letter, style = _LETTERS.get(_name(span.phase), ("?", ""))
        since, until = (round((at - start) * scale) for at in (span.start.ToMilliseconds(), _end(span, end)))
        since, until = max(since, len(bar)), min(until, WIDTH)
        if until > since:
            bar.append(" " * (since - len(bar)))
            bar.append(letter * (until - since), style)
    if attempt.phases and not bar.plain.strip():
        # Too short for a column of its own: a mark where it was.
        at = min(max(0, round((attempt.phases[0].start.ToMilliseconds() - start) * scale)), WIDTH - 1)
        bar = shown(" " * at + "|")
    return bar


def _seconds(attempt: pb.Attempt, name: str) -> str:
    for span in attempt.phases:
        if _name(span.phase) == name:
            if not span.HasField("end"):
                return "goes on"
            return f"{(span.end.ToMilliseconds() - span.start.ToMilliseconds()) / 1000:.3f}"
    return ""


def _number(attempts: float) -> str:
    return f"{attempts:.1f}" if attempts else ""


def _range(found: Any) -> tuple[int, int]:
    # A word of Python.
    return getattr(found, "from").ToMilliseconds(), found.to.ToMilliseconds()


def _end(span: pb.PhaseSpan, now: int) -> int:
    return span.end.ToMilliseconds() if span.HasField("end") else now


def _name(phase: int) -> str:
    """Empty for one that this release does not know."""
    known = pb.AttemptPhase.DESCRIPTOR.values_by_number.get(phase)
    return known.name.removeprefix(_PREFIX) if known is not None else ""
