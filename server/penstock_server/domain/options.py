"""Options of a run, which are not part of its pipeline.

Invariant: options are fixed when the run is created, including those from the server's settings, because its event log
is replayed with them: changed settings of a server affect later runs only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from penstock_server.errors import InvalidArgumentError

MAX_INFRASTRUCTURE_RETRIES = 100
_YOUNGER = ("infrastructure_retries", "priority", "pool", "workers")


@dataclass(frozen=True, slots=True)
class RequestedOptions:
    """The options of a request; None and 0 mean the server's default. Times in seconds."""

    fail_fast: bool = False
    caching: bool | None = None
    max_cache_age: int = 0
    deadline: int = 0
    documented_final_status: bool = False
    flat_collected: bool = False
    infrastructure_retries: int | None = None
    priority: int = 0
    pool: str = ""
    workers: str = ""


@dataclass(frozen=True, slots=True)
class OptionDefaults:
    """The server's settings. `max_cache_age` in seconds, 0 for no limit."""

    caching: bool = True
    max_cache_age: int = 0
    infrastructure_retries: int = 3


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run. Times in seconds; 0 means no limit, for `deadline` the pipeline's own."""

    fail_fast: bool = False
    caching: bool = True
    max_cache_age: int = 0
    deadline: int = 0
    documented_final_status: bool = False
    flat_collected: bool = False
    infrastructure_retries: int = 3
    priority: int = 0
    pool: str = ""
    workers: str = ""
    """How far tasks ask to share workers (`penstock_ir.worker_sharing`); empty: nothing is asked."""

    def to_text(self) -> str:
        document = asdict(self)
        for name in _YOUNGER:
            # A server of the release before fails on an option that it does not know.
            if document[name] == getattr(DEFAULT_OPTIONS, name):
                del document[name]
        return json.dumps(document, separators=(",", ":"))

    @staticmethod
    def from_text(text: str) -> RunOptions:
        """Options of a later release are ignored."""
        names = {field.name for field in fields(RunOptions)}
        document = json.loads(text) if text else {}
        return RunOptions(**{name: value for name, value in document.items() if name in names})


NOTHING_REQUESTED = RequestedOptions()
NO_SETTINGS = OptionDefaults()
DEFAULT_OPTIONS = RunOptions()


def resolve_options(requested: RequestedOptions, defaults: OptionDefaults) -> RunOptions:
    """The options of a new run. It cannot enable what the server disables. Raises InvalidArgumentError."""
    # Imported here: who reads the settings, which have options' defaults, needs no IR.
    from penstock_ir.ranks import MAX_PRIORITY
    from penstock_ir.slots import POOL_NAME
    from penstock_ir.worker_sharing import SHARING_WORDS, parse_sharing

    for value, field in (
        (requested.max_cache_age, "run.options.max_cache_age_seconds"),
        (requested.deadline, "run.options.deadline_seconds"),
    ):
        if value < 0:
            raise InvalidArgumentError(f"{field} must not be negative, it is {value}", field)
    retries = requested.infrastructure_retries
    if retries is not None and not 0 <= retries <= MAX_INFRASTRUCTURE_RETRIES:
        field = "run.options.infrastructure_retries"
        raise InvalidArgumentError(f"{field} is {retries}, it must be from 0 to {MAX_INFRASTRUCTURE_RETRIES}", field)
    if abs(requested.priority) > MAX_PRIORITY:
        field = "run.options.priority"
        text = f"{field} is {requested.priority}, it must be from -{MAX_PRIORITY} to {MAX_PRIORITY}"
        raise InvalidArgumentError(text, field)
    if requested.pool and not POOL_NAME.fullmatch(requested.pool):
        text = f"{requested.pool[:80]!r} is no name of a pool (small letters, digits, dots and dashes)"
        raise InvalidArgumentError(text, "run.options.pool")
    if requested.workers and parse_sharing(requested.workers) is None:
        text = f"it is {requested.workers[:80]!r}, it must be {SHARING_WORDS}"
        raise InvalidArgumentError(text, "run.options.workers")
    ages = [age for age in (requested.max_cache_age, defaults.max_cache_age) if age]
    return RunOptions(
        fail_fast=requested.fail_fast,
        caching=defaults.caching and requested.caching is not False,
        max_cache_age=min(ages, default=0),
        deadline=requested.deadline,
        documented_final_status=requested.documented_final_status,
        flat_collected=requested.flat_collected,
        infrastructure_retries=defaults.infrastructure_retries if retries is None else retries,
        priority=requested.priority,
        pool=requested.pool,
        workers=requested.workers,
    )
