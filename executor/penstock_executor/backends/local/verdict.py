"""Whether an attempt succeeded and, if not, whose failure it is.

Invariants: pure. Exit code 0 is a success, also of a task that was told to end; otherwise the first reason that holds
counts.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from penstock_ir.event_log import FailureKind

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.exit_texts import arguments_too_long, describe_exit
from penstock_executor.backends.local.directory import Exit, SpawnError

CANCELED = "the run was terminated"


@dataclass(frozen=True, slots=True)
class ExitContext:
    """What is known of an attempt besides its exit: whether it was canceled or its deadline passed; why its command
    could not be started; the last lines of its log; why the log may lack lines."""

    canceled: bool = False
    overdue: bool = False
    unstarted: SpawnError | None = None
    tail: str = ""
    log_incomplete: str = ""


def verdict(task: TaskLaunch, exit_: Exit, context: ExitContext) -> tuple[FailureKind, str] | None:
    """Whose failure it is and what to tell the user; None when the command succeeded."""
    if exit_.error:
        return FailureKind.INFRASTRUCTURE, f"the task could not be started: {exit_.error}"
    if exit_.code == 0:
        return None
    if context.canceled:
        return FailureKind.CANCELED, CANCELED
    if context.overdue:
        return FailureKind.USER, f"the deadline of {task.deadline_seconds:g} seconds was exceeded"
    unstarted = context.unstarted
    if unstarted is not None and unstarted.number == errno.E2BIG:
        return FailureKind.CONFIGURATION, arguments_too_long(unstarted.command)
    if unstarted is not None:
        return FailureKind.CONFIGURATION, (
            f"the command {unstarted.command!r} of image {task.image!r} cannot run on this machine "
            f"({unstarted.reason}): run the pipeline on Kubernetes, or install the command here or a container runtime "
            "that has the image"
        )
    ended = describe_exit(exit_.code or 0, exit_.signal or 0)
    ended += f" and {context.log_incomplete}" if context.log_incomplete else ""
    return FailureKind.USER, f"the command {ended}" + (f"; its last lines:\n{context.tail}" if context.tail else "")
