"""Why a Pod cannot be made."""

from __future__ import annotations


class PodSpecError(ValueError):
    """A task, a policy or a setting cannot become a Pod; a retry will not help. The text says what to change."""
