"""Parameter values: declared types, text form, and the arguments of a run (executor.md §1.11, §1.12).

Invariants: strings are never parsed to get another type; any type is converted to its text where a STRING is declared;
a bool is no number. All problems of a run's arguments are reported at once, by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal

from penstock_ir.errors import InvalidParametersError, Problem
from penstock_ir.json_text import JsonTextError, check_depth
from penstock_ir.model import JsonValue, Missing, ParameterDefinition, ParameterType, Pipeline


def value_text(value: JsonValue) -> str:
    """The text of a value: numbers without exponent, true/false, compact JSON, empty for null (executor.md §1.10)."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def convert_value(value: JsonValue, kind: ParameterType, place: str) -> JsonValue:
    """Converts to the declared type. Raises InvalidParametersError that names the place, the type and the value."""
    if kind is ParameterType.STRING:
        return value_text(value)
    if kind is ParameterType.NUMBER_INTEGER:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
    elif kind is ParameterType.NUMBER_DOUBLE:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
    elif kind is ParameterType.BOOLEAN:
        if isinstance(value, bool):
            return value
    elif kind is ParameterType.LIST:
        if isinstance(value, list):
            return value
    elif isinstance(value, dict):
        return value
    raise InvalidParametersError([Problem(place, f"expected {kind.value}, got {describe(value)}")])


def bind_root_parameters(pipeline: Pipeline, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The arguments of a run, checked, with defaults; optional ones without a value are null.

    Raises InvalidParametersError with every problem (executor.md §1.11).
    """
    problems: list[Problem] = []
    declared = pipeline.root.input_parameters
    extra = sorted(set(given) - set(declared))
    if extra:
        names = ", ".join(extra)
        problems.append(
            Problem("runtime_config.parameters", f"parameter(s) provided are not required by pipeline: {names}")
        )
    bound: dict[str, JsonValue] = {}
    for name, definition in declared.items():
        place = f"runtime_config.parameters.{name}"
        if name not in given or (given[name] is None and definition.optional):
            _fill_in(name, definition, bound, problems, place, null_given=name in given)
            continue
        try:
            bound[name] = _checked_value(given[name], definition, place)
        except InvalidParametersError as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidParametersError(problems)
    return bound


def describe(value: JsonValue) -> str:
    """A value for an error message: its type and the beginning of its text."""
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    text = value_text(value)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return f"{kinds[type(value)]} ({shown})"


def _fill_in(
    name: str,
    definition: ParameterDefinition,
    bound: dict[str, JsonValue],
    problems: list[Problem],
    place: str,
    *,
    null_given: bool,
) -> None:
    if not isinstance(definition.default, Missing) and not null_given:
        bound[name] = definition.default
    elif definition.optional:
        bound[name] = None
    else:
        problems.append(Problem(place, f"parameter {name!r} is required ({definition.type.value}) and was not given"))


def _checked_value(value: JsonValue, definition: ParameterDefinition, place: str) -> JsonValue:
    kind = definition.type
    if kind in (ParameterType.TASK_FINAL_STATUS, ParameterType.TASK_CONFIG):
        raise InvalidParametersError([Problem(place, f"a run cannot be given a {kind.value}")])
    if kind is ParameterType.STRING and not isinstance(value, str):
        raise InvalidParametersError([Problem(place, f"expected STRING, got {describe(value)}")])
    try:
        check_depth(value, "the value")
    except JsonTextError as error:
        raise InvalidParametersError([Problem(place, str(error))]) from error
    converted = convert_value(value, kind, place)
    if definition.literals and converted not in definition.literals:
        allowed = ", ".join(value_text(literal) for literal in definition.literals)
        raise InvalidParametersError([Problem(place, f"{value_text(converted)!r} is not one of {allowed}")])
    return converted
