"""From a task to its running process: adopted when the attempt was begun before, started otherwise.

Invariants: what is on disk says whether the attempt was begun; nothing is started for a run whose lease is not certain,
or for a canceled attempt. One that is canceled before it runs ends at once, whatever it waits for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock_ir.backend_limits import LOCAL
from penstock_ir.event_log import FailureKind
from penstock_store.base import ArtifactStoreError

from penstock_executor.attempts import AttemptKey, AttemptTimes
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError
from penstock_executor.backends.errors import LaunchFailedError, TaskSpecError
from penstock_executor.backends.local.connection import ForkServerGoneError
from penstock_executor.backends.local.directory import millis
from penstock_executor.backends.local.environments import EnvironmentFailedError
from penstock_executor.backends.local.fork_servers import ForkServers
from penstock_executor.backends.local.local_attempt import LocalAttempt
from penstock_executor.backends.local.preparation import Preparation, Prepared
from penstock_executor.backends.local.unstartable import UnstartableError
from penstock_executor.backends.needs import unsupported
from penstock_executor.backends.observed_times import begun
from penstock_executor.backends.places import PlaceRequest
from penstock_executor.backends.withdrawable import WithdrawnError
from penstock_executor.backoff import retried

log = logging.getLogger(__name__)

_TRIES = 3


class LocalLauncher:
    """Starts or adopts attempts. `waits(key, text)` is told what an attempt waits for; `ended(attempt, said)` is
    called when its fork server says so, with what it says, or when that fork server is gone, with None."""

    def __init__(
        self,
        preparation: Preparation,
        fork_servers: ForkServers,
        waits: Callable[[AttemptKey, str], None],
        ended: Callable[[LocalAttempt, object], None],
    ) -> None:
        self.preparation = preparation
        self.layers: dict[AttemptKey, tuple[Path, Path]] = {}
        """The cached environments under that of each attempt."""
        self._fork_servers = fork_servers
        self._waits = waits
        self._ended = ended

    async def launch(self, attempt: LocalAttempt, runs: HeldRuns, place: PlaceRequest) -> int | None:
        """When the process was started, in milliseconds since the epoch; None when the attempt has ended already or no
        fork server knows it: then its directory says how it stands.

        Raises LaunchFailedError; LeaseUncertainError, WithdrawnError when nothing was started for now.
        """
        try:
            if attempt.directory.is_claimed:
                return await self._adopt(attempt)
            return await self._start(attempt, runs, place)
        except (LaunchFailedError, LeaseUncertainError, WithdrawnError):
            raise
        except (TaskSpecError, UnstartableError) as error:
            raise LaunchFailedError(FailureKind.CONFIGURATION, str(error)) from error
        except EnvironmentFailedError as error:
            kind = FailureKind.INFRASTRUCTURE if error.transient else FailureKind.CONFIGURATION
            raise LaunchFailedError(kind, str(error)) from error
        except ForkServerGoneError as error:
            raise LaunchFailedError(FailureKind.INFRASTRUCTURE, str(error)) from error
        except Exception as error:
            if not isinstance(error, (ArtifactStoreError, OSError)):
                log.exception("run %s: the start of %s", attempt.key.run_id, attempt.key.path)
            text = f"the task could not be prepared: {error}"
            raise LaunchFailedError(FailureKind.INFRASTRUCTURE, text) from error

    async def _start(self, attempt: LocalAttempt, runs: HeldRuns, place: PlaceRequest) -> int | None:
        cannot = unsupported(attempt.task, LOCAL)
        if cannot:
            raise LaunchFailedError(FailureKind.CONFIGURATION, cannot)
        prepared = await attempt.preparation.run(self._prepare(attempt, place))
        # It may have waited for long.
        if attempt.state.stop is not None:
            raise WithdrawnError
        attempt.connection = prepared.connection

        async def ask() -> dict[str, Any]:
            if not runs.may_act(attempt.key.run_id):
                raise LeaseUncertainError(attempt.name)
            return await prepared.connection.launch(
                attempt.name, prepared.message, lambda said: self._ended(attempt, said)
            )

        def is_unclaimed(error: BaseException) -> bool:
            return isinstance(error, ForkServerGoneError) and not attempt.directory.is_claimed

        try:
            answer = await retried(ask, if_=is_unclaimed, tries=_TRIES)
        except ForkServerGoneError:
            # It may have started it, or would do so later.
            if attempt.directory.claim():
                raise
            return await self._adopt(attempt)
        if answer["event"] == "failed":
            text = f"the task could not be started: {answer['error']}"
            raise LaunchFailedError(FailureKind.INFRASTRUCTURE, text)
        if answer["event"] == "claimed":
            return await self._adopt(attempt)
        since = _since(answer)
        attempt.times = begun(attempt.times, since)
        return since

    async def _prepare(self, attempt: LocalAttempt, place: PlaceRequest) -> Prepared:
        """Everything that may take long, the wait for a free slot included; it may be cancelled at any point."""
        key = attempt.key
        began = millis()
        gathered = await self.preparation.gather(attempt.task, attempt.directory, lambda text: self._waits(key, text))
        attempt.files = gathered.files
        ready = millis()
        await place.wait()
        attempt.holds_slot = True
        self.layers[key] = gathered.layers
        prepared = self.preparation.finish(attempt.task, attempt.directory, gathered)
        # It is prepared while it waits for a place, inputs first: told in the common order, each as long as it took.
        placed = millis()
        fetching = gathered.brought_at - began if attempt.task.input_artifacts else 0
        attempt.times = AttemptTimes(
            placed=placed - (ready - began),
            prepared=placed - fetching,
            fetched=placed if attempt.task.input_artifacts else 0,
        )
        return prepared

    async def _adopt(self, attempt: LocalAttempt) -> int | None:
        """Takes over an attempt that somebody started before us."""
        if attempt.files is None:
            attempt.files = self.preparation.inputs.adopt(attempt.task, attempt.directory)
        # First whoever runs it: what its directory says of its end, a task that runs may have written.
        socket = attempt.directory.claimed_by()
        if socket is None:
            return None
        connection = self._fork_servers.at(socket)
        try:
            known = await connection.watch(attempt.name, lambda said: self._ended(attempt, said))
        except ForkServerGoneError:
            known = None
        if known is None:
            return None
        attempt.connection = connection
        return _since(known) or attempt.directory.started_at()


def _since(answer: Mapping[str, Any]) -> int:
    """When a fork server began an attempt, by its answer. One of an earlier release does not say it of all: 0."""
    at = answer.get("at")
    return min(at, millis()) if type(at) is int and at > 0 else 0
