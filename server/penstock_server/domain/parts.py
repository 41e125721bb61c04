"""Which parts of what is stored are read for an answer that tells less than everything.

Why by the names of stored fields: repositories know no messages; which of an answer's fields are made from which of
these is told in `rpc.parts`. Invariant: what was left out has the value of nothing
(empty text, empty document, None). Something that was read in part is shown, and never written back.
"""

from __future__ import annotations

from dataclasses import dataclass

Fields = frozenset[str]
NONE: Fields = frozenset()


@dataclass(frozen=True, slots=True)
class RunParts:
    """`without` names fields of Run, `without_of_tasks` those of Task; `tasks` and `artifact_ids`: whether they are
    read at all.
    """

    without: Fields = NONE
    tasks: bool = True
    without_of_tasks: Fields = NONE
    artifact_ids: bool = True


@dataclass(frozen=True, slots=True)
class TaskPageParts:
    """`without` names fields of Task; the others, whether they are read: the numbers of tasks by state and of children
    by state, the reasons for waiting, the run's latest change.
    """

    without: Fields = NONE
    counts: bool = True
    child_counts: bool = True
    waits: bool = True


WHOLE_RUN = RunParts()
WHOLE_TASKS = TaskPageParts()
