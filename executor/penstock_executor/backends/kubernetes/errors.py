"""Why a Pod cannot be made."""

from __future__ import annotations

from penstock_executor.backends.errors import TaskSpecError


class PodSpecError(TaskSpecError):
    """A task, a policy or a setting cannot become a Pod; a retry will not help. The text says what to change."""
