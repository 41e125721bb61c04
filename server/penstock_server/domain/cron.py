"""Cron expressions as robfig/cron v1.2.0 reads them, which upstream schedules with (api.md §2.9).

Why: croniter finds the points of a grid, but reads expressions in a dialect of its own: it takes `7` for Sunday, ranges
that wrap around, `L`, `W`, `#` and random fields, and joins the two fields of days by another rule.

Invariants: pure. Croniter is given numbers and stars alone. A star or question mark in a field of days, with a step
or among others too, makes both of those fields hold; else a day is one of either. What upstream refuses is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from croniter import croniter

# Half a year of seconds lie between two points of the rarest grid that makes sense; beyond that there is none.
SEARCHED_YEARS = 8
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER = re.compile(r"[0-9]{1,9}")


class CronError(ValueError):
    """No cron expression; the text says why."""


@dataclass(frozen=True, slots=True)
class _Field:
    what: str
    least: int
    most: int
    names: Mapping[str, int]


_FIELDS = (
    _Field("second", 0, 59, {}),
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """`fields` as croniter takes them; `either`: a day is one of the month's or one of the week's."""

    fields: str
    either: bool

    def after(self, at: datetime) -> datetime | None:
        """The first point after a time, in its zone; None when none comes within SEARCHED_YEARS."""
        try:
            found: datetime = self._points(at).get_next(datetime)
        except ValueError:
            return None
        return found

    def before(self, at: datetime) -> datetime | None:
        """The last point before a time; as `after`."""
        try:
            found: datetime = self._points(at).get_prev(datetime)
        except ValueError:
            return None
        return found

    def _points(self, at: datetime) -> croniter:
        return croniter(
            self.fields, at, second_at_beginning=True, day_or=self.either, max_years_between_matches=SEARCHED_YEARS
        )


def parse(text: str) -> Cron:
    """Six fields, seconds first, of which the last may be left out, or a descriptor such as `@daily`.

    Raises CronError.
    """
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise CronError(f"there is {', '.join(_DESCRIPTORS)} and @every")
        text = _DESCRIPTORS[text]
    given = text.split()
    if len(given) not in (5, 6):
        raise CronError(
            f"it has {len(given)} fields, a schedule has six: second, minute, hour, day of the month, month and day of "
            "the week, which may be left out"
        )
    parsed = [_values(one, field) for one, field in zip([*given, "*"], _FIELDS, strict=False)]
    texts = [_text(numbers, field) for (numbers, _), field in zip(parsed, _FIELDS, strict=True)]
    (_, month_star), (_, week_star) = parsed[3], parsed[5]
    either = not month_star and not week_star
    if either and "*" in (texts[3], texts[5]):
        texts[3] = texts[5] = "*"
    return Cron(" ".join(texts), either)


def _values(text: str, field: _Field) -> tuple[set[int], bool]:
    """The numbers of a field, and whether a star is in it."""
    found: set[int] = set()
    star = False
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if span in ("*", "?"):
            star = True
            first, last = field.least, field.most
        else:
            low, dash, high = span.partition("-")
            first = _number(low, field)
            last = _number(high, field) if dash else field.most if slash else first
        for number in (first, last):
            if not field.least <= number <= field.most:
                raise CronError(f"{field.what}: {part[:40]!r} is not within {field.least} to {field.most}")
        if first > last:
            raise CronError(f"{field.what}: {part[:40]!r} begins after its end")
        if slash and (not _NUMBER.fullmatch(step) or not int(step)):
            raise CronError(f"{field.what}: the step of {part[:40]!r} is no number from 1 on")
        found.update(range(first, last + 1, int(step) if slash else 1))
    return found, star


def _number(text: str, field: _Field) -> int:
    known = field.names.get(text.lower())
    if known is not None:
        return known
    if not _NUMBER.fullmatch(text):
        also = f" or a name such as {next(iter(field.names))}" if field.names else ""
        raise CronError(f"{field.what}: {text[:40]!r} is no number{also}")
    return int(text)


def _text(numbers: set[int], field: _Field) -> str:
    if len(numbers) == field.most - field.least + 1:
        return "*"
    return ",".join(str(number) for number in sorted(numbers))
