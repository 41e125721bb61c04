"""How a run is executed where its pipeline leaves it open.

Invariant: what a run gets is fixed when it is created, the server's own settings included, because its log is replayed
with them: a server that is started with other settings changes later runs only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from penstock_server.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class RequestedOptions:
    """What a caller asks for; None and 0 leave it to the server. Times in seconds."""

    fail_fast: bool = False
    caching: bool | None = None
    max_cache_age: int = 0
    deadline: int = 0
    documented_final_status: bool = False
    flat_collected: bool = False


@dataclass(frozen=True, slots=True)
class CachingDefaults:
    """The server's settings. `max_age` in seconds, 0 for no limit."""

    enabled: bool = True
    max_age: int = 0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run has. Times in seconds; 0 means no limit, for `deadline` the pipeline's own."""

    fail_fast: bool = False
    caching: bool = True
    max_cache_age: int = 0
    deadline: int = 0
    documented_final_status: bool = False
    flat_collected: bool = False

    def to_text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_text(text: str) -> RunOptions:
        return RunOptions(**json.loads(text)) if text else RunOptions()


NOTHING_REQUESTED = RequestedOptions()
CACHING_ON = CachingDefaults()
DEFAULT_OPTIONS = RunOptions()


def settled(requested: RequestedOptions, defaults: CachingDefaults) -> RunOptions:
    """A run cannot switch on what the server switched off. Raises InvalidArgumentError."""
    for value, field in (
        (requested.max_cache_age, "run.options.max_cache_age_seconds"),
        (requested.deadline, "run.options.deadline_seconds"),
    ):
        if value < 0:
            raise InvalidArgumentError(f"{field} must not be negative, it is {value}", field)
    ages = [age for age in (requested.max_cache_age, defaults.max_age) if age]
    return RunOptions(
        fail_fast=requested.fail_fast,
        caching=defaults.enabled and requested.caching is not False,
        max_cache_age=min(ages, default=0),
        deadline=requested.deadline,
        documented_final_status=requested.documented_final_status,
        flat_collected=requested.flat_collected,
    )
