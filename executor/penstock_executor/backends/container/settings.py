"""Settings of the container backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """Times in seconds. `home` holds the attempts' directories; `instance` tells this installation's containers from
    others'; `passed` are variables that every task gets."""

    home: Path
    instance: str
    parallelism: int
    passed: Mapping[str, str]
    grace_seconds: int = 3
    pull_seconds: float = 300.0
    orphan_seconds: float = 60.0
    transfer_seconds: float = 3600.0
