"""Runs the scenario with a function that makes one call, by the same rules as clients/go and clients/typescript.

Invariant: a step that cannot be carried out, or whose reply is not what it must be, ends the walk with the step's name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

Call = Callable[[dict[str, Any], Any], Any]
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class CallFailedError(Exception):
    """The call was answered with a status, by its name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def walk(steps: list[dict[str, Any]], variables: dict[str, str], call: Call) -> int:
    """`call(step, request)` gives the reply as protojson, or raises CallFailedError. How many calls were made."""
    calls = 0
    for number, step in enumerate(steps):
        where = f"step {number}, {step['call']}"
        step = _filled(step, variables)
        until = time.monotonic() + 60
        while True:
            calls += 1
            try:
                reply, code = call(step, step["request"]), ""
            except CallFailedError as error:
                reply, code = str(error), error.code
            waited = step.get("until", {})
            if all(found(reply, path) in values for path, values in waited.items()) or time.monotonic() > until:
                break
            time.sleep(0.1)
        if code != step.get("code", ""):
            raise AssertionError(f"{where}: {code or 'OK'} instead of {step.get('code', 'OK')}: {reply}")
        difference = "" if code else missing(reply, step.get("expect", {}), "reply")
        if difference:
            raise AssertionError(f"{where}: {difference}")
        for name, path in step.get("save", {}).items():
            variables[name] = found(reply, path)
    return calls


def found(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def missing(value: Any, wanted: Any, place: str) -> str:
    """What of `wanted` is not in `value`, empty for nothing."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"{place} is {value!r}, no object"
        return next(filter(None, (missing(value.get(key), item, f"{place}.{key}") for key, item in wanted.items())), "")
    if isinstance(wanted, list):
        if not isinstance(value, list) or len(value) < len(wanted):
            return f"{place} is {value!r}, wanted {len(wanted)} items"
        pairs = enumerate(zip(value, wanted, strict=False))
        return next(filter(None, (missing(one, item, f"{place}.{index}") for index, (one, item) in pairs)), "")
    return "" if value == wanted else f"{place} is {value!r}, wanted {wanted!r}"


def _filled(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: variables[match.group(1)], value)
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: item if key == "save" else _filled(item, variables) for key, item in value.items()}
    return value
