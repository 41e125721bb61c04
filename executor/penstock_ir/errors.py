"""Errors in a compiled pipeline or in the arguments of a run, in words for its author.

Invariant: every problem names its place (a dotted path into the document), and a check reports all problems at once, so
that an author can fix them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One defect. `place` is a dotted path such as `root.dag.tasks.train.inputs.parameters.lr`."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class InvalidSpecError(Exception):
    """The document is not a valid pipeline."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class TooManyValuesError(InvalidSpecError):
    """The document has more values than this reader takes; another may take more."""


class InvalidParametersError(Exception):
    """Arguments of a run that do not fit the pipeline's root inputs (contract executor.md §1.11)."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class ExpressionError(Exception):
    """A condition or selector does not parse, fails, or has a result of the wrong type."""
