"""Evaluates trigger conditions and selectors as CEL, with cel-python and upstream's variables (executor.md §1.6, §1.7).

Invariants: every failure is an ExpressionError, never `false`. Numbers of parameters are CEL doubles, and numbers of
different types compare by value, as in upstream's evaluator; an integer that a double cannot represent keeps its digits
until it is computed with. The library is imported with the first expression and each text is compiled once; evaluation
has no side effects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from penstock_ir.errors import ExpressionError
from penstock_ir.json_text import parse_json, plain_number
from penstock_ir.model import JsonValue
from penstock_ir.parameters import value_text

_MAX_TEXT = 64 * 1024
_MACROS = frozenset({"map", "filter", "all", "exists", "exists_one", "reduce", "min"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled trigger condition; `text` is its source."""

    text: str
    _program: Any

    def evaluate(
        self, parameters: Mapping[str, JsonValue], artifacts: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> bool:
        """Whether the condition is true for a task's inputs. Raises ExpressionError."""
        inputs = {
            "parameter_values": dict(parameters),
            "artifacts": {port: {"artifacts": list(port_artifacts)} for port, port_artifacts in artifacts.items()},
        }
        result = _run(self._program, {"inputs": _to_cel(inputs)})
        from celpy import celtypes

        if not isinstance(result, (bool, celtypes.BoolType)):
            raise ExpressionError(f"the result is {_kind(result)}, not a truth value")
        return bool(result)


@dataclass(frozen=True, slots=True)
class Selector:
    """A compiled `parameterExpressionSelector`; `text` is its source."""

    text: str
    _program: Any

    def select(self, value: JsonValue) -> JsonValue:
        """The part of the value that the selector names. Raises ExpressionError."""
        variables = {"string_value": _to_cel(value_text(value))}
        variables[_value_field(value)] = _to_cel(value)
        return _from_cel(_run(self._program, variables))


@lru_cache(maxsize=4096)
def compile_condition(text: str) -> Condition:
    """Raises ExpressionError when the text is no CEL."""
    return Condition(text, _compile(text))


@lru_cache(maxsize=4096)
def compile_selector(text: str) -> Selector:
    """Raises ExpressionError when the text is no CEL."""
    return Selector(text, _compile(text))


def _compile(text: str) -> Any:
    import celpy

    if len(text) > _MAX_TEXT:
        raise ExpressionError(f"the expression has more than {_MAX_TEXT} characters")
    try:
        environment = celpy.Environment()
        tree = environment.compile(text)
        _check_cost(tree)
        return environment.program(tree, functions=_functions())
    except celpy.CELParseError as error:
        place = f" (line {error.line}, column {error.column})" if error.line else ""
        raise ExpressionError(f"not a valid expression{place}") from error
    except (RecursionError, ValueError, TypeError, KeyError) as error:
        raise ExpressionError(f"not a valid expression: {type(error).__name__}") from error


def _check_cost(tree: Any) -> None:
    """Refuses expressions that may run long, because they are evaluated on the engine's own thread.

    Nested macros cost the product of their lists' lengths, and `reduce` can double its value with every element.
    """
    stack: list[tuple[Any, bool]] = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        children: Sequence[Any] = getattr(node, "children", ())
        macro = getattr(node, "data", "") == "member_dot_arg" and str(children[1]) in _MACROS
        if macro and str(children[1]) == "reduce":
            raise ExpressionError("reduce is not supported")
        if macro and inside:
            raise ExpressionError(f"{children[1]} inside another macro is not supported")
        for index, child in enumerate(children):
            stack.append((child, inside or (macro and index == 2)))


def _run(program: Any, variables: Mapping[str, Any]) -> Any:
    import celpy

    try:
        return program.evaluate(variables)
    except celpy.CELEvalError as error:
        raise ExpressionError(_reason(error)) from error
    except RecursionError as error:
        raise ExpressionError("the expression is nested too deeply") from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, ArithmeticError, AttributeError) as error:
        raise ExpressionError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _reason(error: Exception) -> str:
    """The message of an error whose arguments are (text, class of the cause, arguments of the cause)."""
    text, *_, cause = (*error.args, ()) if len(error.args) < 3 else error.args[:3]
    arguments = ", ".join(str(part) for part in cause) if isinstance(cause, tuple) else ""
    return (f"{text}: {arguments}" if arguments else str(text))[:300]


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[..., Any]]:  # noqa: C901 - many small ones, in here for the late import
    from celpy import CELEvalError, celtypes

    # The library's arithmetic returns plain floats.
    numbers = (celtypes.IntType, celtypes.UintType, float)

    def both_numbers(left: Any, right: Any) -> bool:
        return isinstance(left, numbers) and isinstance(right, numbers)

    def propagates_errors(function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the first argument that is an error instead of calling the function."""

        def wrapper(*values: Any) -> Any:
            error = next((value for value in values if isinstance(value, CELEvalError)), None)
            return function(*values) if error is None else error

        return wrapper

    @propagates_errors
    def equal(left: Any, right: Any) -> Any:
        if both_numbers(left, right):
            return celtypes.BoolType(_number(left) == _number(right))
        if isinstance(left, list) and isinstance(right, list):
            return celtypes.BoolType(len(left) == len(right)) and all_equal(zip(left, right, strict=True))
        if isinstance(left, dict) and isinstance(right, dict):
            return celtypes.BoolType(left.keys() == right.keys()) and all_equal((left[key], right[key]) for key in left)
        # Values of different types are unequal; comparing them is no error.
        return celtypes.BoolType(_cel_kind(left) == _cel_kind(right) and bool(left == right))

    def all_equal(pairs: Iterable[tuple[Any, Any]]) -> Any:
        for left, right in pairs:
            result = equal(left, right)
            if isinstance(result, CELEvalError) or not result:
                return result
        return celtypes.BoolType(True)

    def unequal(left: Any, right: Any) -> Any:
        result = equal(left, right)
        return result if isinstance(result, CELEvalError) else celtypes.BoolType(not result)

    def ordered(compare: Callable[[Any, Any], bool], sign: str) -> Callable[[Any, Any], Any]:
        @propagates_errors
        def function(left: Any, right: Any) -> Any:
            if both_numbers(left, right):
                return celtypes.BoolType(compare(_number(left), _number(right)))
            if _cel_kind(left) != _cel_kind(right) or _cel_kind(left) in ("map", "list", "null"):
                raise TypeError(f"{_cel_kind(left)} {sign} {_cel_kind(right)} cannot be compared")
            return celtypes.BoolType(compare(left, right))

        return function

    @propagates_errors
    def modulo(left: Any, right: Any) -> Any:
        if not (isinstance(left, celtypes.IntType) and isinstance(right, celtypes.IntType)):
            # On text Python's % would be string formatting.
            raise TypeError(f"{_cel_kind(left)} % {_cel_kind(right)}: whole numbers only")
        return left % right

    @propagates_errors
    def text(value: Any) -> Any:
        return celtypes.StringType(value_text(_from_cel(value)))

    return {
        "parseJson": propagates_errors(_parse_json),
        "_==_": equal,
        "_!=_": unequal,
        "_<_": ordered(lambda left, right: left < right, "<"),
        "_<=_": ordered(lambda left, right: left <= right, "<="),
        "_>_": ordered(lambda left, right: left > right, ">"),
        "_>=_": ordered(lambda left, right: left >= right, ">="),
        "_%_": modulo,
        "string": text,
    }


def _parse_json(source: Any) -> Any:
    return _to_cel(parse_json(str(source), "the text of parseJson"))


@lru_cache(maxsize=1)
def _whole_number() -> Any:
    """The class of CEL doubles for integers that a double cannot represent; `int` and comparisons use `digits`."""
    from celpy import celtypes

    class WholeNumber(celtypes.DoubleType):
        digits: int

        def __new__(cls, digits: int) -> WholeNumber:
            double: Any = super().__new__(cls, digits)
            double.digits = digits
            return double

        def __trunc__(self) -> int:
            return self.digits

    return WholeNumber


def _number(value: Any) -> int | float:
    if isinstance(value, _whole_number()):
        return int(value.digits)
    return float(value) if isinstance(value, float) else int(value)


def _to_cel(value: Any) -> Any:
    from celpy import celtypes

    if value is None:
        return None
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, (int, float)):
        try:
            double = celtypes.DoubleType(value)
            return double if float(double) == value else _whole_number()(value)
        except OverflowError as error:
            raise ExpressionError("a number is too large for an expression") from error
    if isinstance(value, str):
        return celtypes.StringType(value)
    if isinstance(value, Mapping):
        return celtypes.MapType({celtypes.StringType(key): _to_cel(item) for key, item in value.items()})
    return celtypes.ListType([_to_cel(item) for item in value])


def _from_cel(value: Any) -> JsonValue:
    from celpy import celtypes

    if value is None:
        return None
    if isinstance(value, (celtypes.BoolType, bool)):
        return bool(value)
    if isinstance(value, (celtypes.IntType, celtypes.UintType)):
        return int(value)
    if isinstance(value, _whole_number()):
        return int(value.digits)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError("the result is no finite number")
        return plain_number(float(value))
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _from_cel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_cel(item) for item in value]
    raise ExpressionError(f"the result is {_kind(value)}, which is no JSON value")


def _value_field(value: JsonValue) -> str:
    if value is None:
        return "null_value"
    if isinstance(value, bool):
        return "bool_value"
    if isinstance(value, (int, float)):
        return "number_value"
    if isinstance(value, str):
        return "string_value"
    return "list_value" if isinstance(value, list) else "struct_value"


def _cel_kind(value: Any) -> str:
    from celpy import celtypes

    if value is None:
        return "null"
    if isinstance(value, (celtypes.BoolType, bool)):
        return "bool"
    if isinstance(value, (celtypes.IntType, celtypes.UintType, float)):
        return "number"
    if isinstance(value, dict):
        return "map"
    if isinstance(value, list):
        return "list"
    return "string" if isinstance(value, str) else type(value).__name__


def _kind(value: Any) -> str:
    return f"a {_cel_kind(value)}"
