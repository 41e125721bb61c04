"""Expands macros in string arguments of a run, once, when the run is created (executor.md §1.11)."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

_BRACKETS = re.compile(r"\[\[(RunUUID|CurrentTime|ScheduledTime|Index)(?:\.([^\]]*))?\]\]")
_STRFTIME = re.compile(r"\{\{\$\.(currentTime|scheduledTime)\.strftime\((['\"])(.*?)\2\)\}\}")
_DEFAULT_LAYOUT = "20060102150405"
# Go's reference time, longest pieces first.
_GO_LAYOUT = (
    ("2006", "%Y"), ("January", "%B"), ("Monday", "%A"), ("Jan", "%b"), ("Mon", "%a"), ("MST", "%Z"), ("-0700", "%z"),
    ("01", "%m"), ("02", "%d"), ("15", "%H"), ("03", "%I"), ("04", "%M"), ("05", "%S"), ("06", "%y"), ("PM", "%p"),
)  # fmt: skip
_GO_PIECES = re.compile("|".join(re.escape(piece) for piece, _ in _GO_LAYOUT))
_GO_FORMATS = dict(_GO_LAYOUT)


def expand(value: Any, *, run_id: str, now: int, scheduled: int = 0, index: int | None = None) -> Any:
    """Expands macros in every string of a JSON value. Times in milliseconds; with 0 ScheduledTime is not expanded."""
    if isinstance(value, str):
        return _expand_text(value, run_id, now, scheduled, index) if "[[" in value or "{{$" in value else value
    if isinstance(value, list):
        return [expand(item, run_id=run_id, now=now, scheduled=scheduled, index=index) for item in value]
    if isinstance(value, dict):
        return {
            key: expand(item, run_id=run_id, now=now, scheduled=scheduled, index=index) for key, item in value.items()
        }
    return value


def _expand_text(text: str, run_id: str, now: int, scheduled: int, index: int | None) -> str:
    times = {"CurrentTime": now, "currentTime": now, "ScheduledTime": scheduled, "scheduledTime": scheduled}

    def bracket(match: re.Match[str]) -> str:
        name, layout = match.group(1), match.group(2) or _DEFAULT_LAYOUT
        if name == "RunUUID":
            return run_id
        if name == "Index":
            return match.group(0) if index is None else str(index)
        if not times[name]:
            return match.group(0)
        pattern = _GO_PIECES.sub(lambda piece: _GO_FORMATS[piece.group(0)], layout.replace("%", "%%"))
        return _utc(times[name]).strftime(pattern)

    def strftime(match: re.Match[str]) -> str:
        at = times[match.group(1)]
        return _utc(at).strftime(match.group(3)) if at else match.group(0)

    return _STRFTIME.sub(strftime, _BRACKETS.sub(bracket, text))


def _utc(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, tz=timezone.utc)
