"""Parses cron expressions like robfig/cron v1.2.0, with which upstream schedules (api.md §2.9).

Why not croniter alone: it computes the points in time, but parses another dialect: it accepts `7` for Sunday, ranges
that wrap around, `L`, `W`, `#` and random fields, and combines the two day fields by another rule.

Invariants: pure. Croniter is given only numbers and stars. If a day field has a star or question mark, also with a step
or in a list, a day must match both day fields; otherwise it must match one of them. What upstream refuses is refused.
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
    """The text is no cron expression; the message says why."""


@dataclass(frozen=True, slots=True)
class _Field:
    label: str
    minimum: int
    maximum: int
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
    """`fields` as croniter takes them; `day_or`: a day is one of the month's or one of the week's."""

    fields: str
    day_or: bool

    def after(self, at: datetime) -> datetime | None:
        """The first point after a time, in its zone; None when none comes within SEARCHED_YEARS."""
        try:
            point: datetime = self._points(at).get_next(datetime)
        except ValueError:
            return None
        return point

    def before(self, at: datetime) -> datetime | None:
        """The last point before a time; None as in `after`."""
        try:
            point: datetime = self._points(at).get_prev(datetime)
        except ValueError:
            return None
        return point

    def _points(self, at: datetime) -> croniter:
        return croniter(
            self.fields, at, second_at_beginning=True, day_or=self.day_or, max_years_between_matches=SEARCHED_YEARS
        )


def parse(text: str) -> Cron:
    """Parses six fields, beginning with seconds, of which the last may be omitted, or a descriptor such as `@daily`.

    Raises CronError.
    """
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise CronError(f"there is {', '.join(_DESCRIPTORS)} and @every")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) not in (5, 6):
        raise CronError(
            f"it has {len(parts)} fields, a schedule has six: second, minute, hour, day of the month, month and day of "
            "the week, which may be left out"
        )
    parsed = [_values(part, field) for part, field in zip([*parts, "*"], _FIELDS, strict=False)]
    texts = [_text(numbers, field) for (numbers, _), field in zip(parsed, _FIELDS, strict=True)]
    (_, month_star), (_, week_star) = parsed[3], parsed[5]
    day_or = not month_star and not week_star
    if day_or and "*" in (texts[3], texts[5]):
        texts[3] = texts[5] = "*"
    return Cron(" ".join(texts), day_or)


def _values(text: str, field: _Field) -> tuple[set[int], bool]:
    """The numbers of a field, and whether a star is in it."""
    numbers: set[int] = set()
    star = False
    for part in text.split(","):
        values, slash, step = part.partition("/")
        if values in ("*", "?"):
            star = True
            first, last = field.minimum, field.maximum
        else:
            low, dash, high = values.partition("-")
            first = _number(low, field)
            last = _number(high, field) if dash else field.maximum if slash else first
        for number in (first, last):
            if not field.minimum <= number <= field.maximum:
                raise CronError(f"{field.label}: {part[:40]!r} is not within {field.minimum} to {field.maximum}")
        if first > last:
            raise CronError(f"{field.label}: {part[:40]!r} begins after its end")
        if slash and (not _NUMBER.fullmatch(step) or not int(step)):
            raise CronError(f"{field.label}: the step of {part[:40]!r} is no number from 1 on")
        numbers.update(range(first, last + 1, int(step) if slash else 1))
    return numbers, star


def _number(text: str, field: _Field) -> int:
    named = field.names.get(text.lower())
    if named is not None:
        return named
    if not _NUMBER.fullmatch(text):
        also = f" or a name such as {next(iter(field.names))}" if field.names else ""
        raise CronError(f"{field.label}: {text[:40]!r} is no number{also}")
    return int(text)


def _text(numbers: set[int], field: _Field) -> str:
    if len(numbers) == field.maximum - field.minimum + 1:
        return "*"
    return ",".join(str(number) for number in sorted(numbers))
