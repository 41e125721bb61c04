"""A plan and its parts (see `penstock_ir.plan`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Union

from penstock_ir.errors import Problem
from penstock_ir.model import JsonValue
from penstock_ir.task_rows import TaskKind


class Decision(str, Enum):
    """Whether a task will run, as far as it is known before the run."""

    RUN = "RUN"
    CACHED = "CACHED"
    SKIPPED = "SKIPPED"
    OMITTED = "OMITTED"
    UNDECIDED = "UNDECIDED"
    """It depends on outputs of other tasks."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that is known only in the run; `source` says where it comes from.

    `in_workspace`: it is text that contains the path of the workspace.
    """

    source: str
    in_workspace: bool = False


Value = Union[JsonValue, Unknown]


@dataclass(frozen=True, slots=True)
class CachedOutputs:
    """`artifacts`: names by port."""

    run_id: str
    parameters: Mapping[str, JsonValue]
    artifacts: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class PlannedTask:
    """`container`: image, command, args, env, resources and platform settings of the container that would start."""

    path: str
    kind: TaskKind
    display_name: str
    decision: Decision = Decision.RUN
    note: str = ""
    depends_on: tuple[str, ...] = ()
    condition: str = ""
    inputs: dict[str, Value] = field(default_factory=dict)
    caching: bool = False
    cached_run_id: str = ""
    max_retries: int = 0
    iterations: int | None = None
    """The number of iterations of a loop; None when it is known only in the run."""
    parallelism_limit: int = 0
    container: dict[str, Any] = field(default_factory=dict)
    children: list[PlannedTask] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """`truncated`: there are more tasks than a plan shows."""

    tasks: Sequence[PlannedTask]
    problems: Sequence[Problem]
    truncated: bool = False
