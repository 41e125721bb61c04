"""What an installation decides about the backend itself; what it decides about Pods is in `settings`."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.give_up import Deadlines
from penstock_executor.backends.kubernetes.retention import RetentionPolicy
from penstock_executor.backends.kubernetes.settings import PodSettings


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Times in seconds."""

    pods: PodSettings
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    bounds: Bounds = field(default_factory=Bounds)
    deadlines: Deadlines = field(default_factory=Deadlines)
    wait_for_sidecars: bool = False
    """Whether a container that others brought into a Pod keeps its task; else the end of `main` decides."""
    cancel_grace_seconds: int = 3
    orphan_seconds: float = 60.0
