"""Why a task cannot be made where it is to run."""

from __future__ import annotations


class TaskSpecError(ValueError):
    """What the task asks for cannot be had; a retry will not help. The text says what to change."""
