"""From a task to its running container: adopted when the attempt was begun before, created otherwise.

Invariants: a container's name is a function of its attempt, and a claim on disk comes before it, so an attempt never
has two, whoever launches it. Nothing is created for a run whose lease is not certain, or for a canceled attempt.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock_ir.backend_limits import CONTAINER
from penstock_ir.event_log import FailureKind
from penstock_ir.model import CREATE_CLAIM, DELETE_CLAIM
from penstock_store.base import ArtifactStoreError

from penstock_executor.agent.failures import AgentError
from penstock_executor.attempts import TaskOutcome
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError
from penstock_executor.backends.container.claims import ClaimVolumes
from penstock_executor.backends.container.container_attempt import ContainerAttempt
from penstock_executor.backends.container.preparation import Preparation
from penstock_executor.backends.container.removal import Removal
from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.container.state import ContainerState
from penstock_executor.backends.errors import LaunchFailedError, TaskSpecError
from penstock_executor.backends.needs import unsupported
from penstock_executor.backends.places import PlaceRequest, Places
from penstock_executor.backends.withdrawable import WithdrawnError
from penstock_executor.background import Background
from penstock_executor.backoff import delays

_APPEARS_SECONDS = 10.0
_CREATE_SECONDS = 10.0
_TAKEN = re.compile(r"already in use", re.I)
# Said of what the same task will not do better the next time.
_NEVER = re.compile(r"argument list too long|(unable to find|no such) (user|group)|unknown flag|invalid", re.I)


@dataclass(frozen=True, slots=True)
class Launched:
    """A container that runs, or has `ended`. `started_at` in milliseconds since the epoch, 0 when unknown."""

    started_at: int
    ended: bool = False


class ContainerLauncher:
    """`watch` is told of an attempt before its container is created, so that its end is heard."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        preparation: Preparation,
        volumes: ClaimVolumes,
        removal: Removal,
        places: Places,
        background: Background,
        watch: Callable[[ContainerAttempt], None],
    ) -> None:
        self._runtime = runtime
        self._preparation = preparation
        self._volumes = volumes
        self._removal = removal
        self._places = places
        self._background = background
        self._watch = watch
        self._creating: set[asyncio.Task[str]] = set()

    async def launch(self, attempt: ContainerAttempt, runs: HeldRuns, place: PlaceRequest) -> Launched | TaskOutcome:
        """The attempt's container; or the outcome of a task that is a volume claim, which needs no container.

        Raises LaunchFailedError; LeaseUncertainError, WithdrawnError when nothing was created for now.
        """
        try:
            return await self._launch(attempt, runs, place)
        except TaskSpecError as error:
            raise LaunchFailedError(FailureKind.CONFIGURATION, str(error)) from error
        except AgentError as error:
            raise LaunchFailedError(FailureKind(error.kind), error.text) from error
        except RuntimeFailedError as error:
            kind = FailureKind.CONFIGURATION if _NEVER.search(str(error)) else FailureKind.INFRASTRUCTURE
            raise LaunchFailedError(kind, f"the container cannot be started: {error}") from error
        except (ArtifactStoreError, OSError) as error:
            text = f"the task could not be prepared: {error}"
            raise LaunchFailedError(FailureKind.INFRASTRUCTURE, text) from error

    async def close(self) -> None:
        """Waits for calls that create a container: it is created whole or not at all."""
        if self._creating:
            await asyncio.wait(self._creating, timeout=_CREATE_SECONDS)

    async def _launch(self, attempt: ContainerAttempt, runs: HeldRuns, place: PlaceRequest) -> Launched | TaskOutcome:
        task = attempt.task
        if task.image in (CREATE_CLAIM, DELETE_CLAIM):
            _check_may_create(attempt, runs)
            return await self._volumes.outcome(task)
        cannot = unsupported(task, CONTAINER)
        if cannot:
            raise LaunchFailedError(FailureKind.CONFIGURATION, cannot)
        if attempt.directory.claimed:
            return await self._adopt(attempt)
        if task.seen_running:
            raise LaunchFailedError(FailureKind.INFRASTRUCTURE, f"the container {attempt.name} is gone")
        return await self._create(attempt, runs, place)

    async def _create(self, attempt: ContainerAttempt, runs: HeldRuns, place: PlaceRequest) -> Launched:
        await attempt.preparation.run(place.wait())
        attempt.holds_slot = True
        attempt.times = replace(attempt.times, placed=time.time_ns() // 1_000_000)
        _check_may_create(attempt, runs)
        command = await attempt.preparation.run(self._preparation.command(attempt))
        # It may have taken long.
        _check_may_create(attempt, runs)
        if not attempt.directory.claim():
            return await self._adopt(attempt)
        self._watch(attempt)
        creating = asyncio.ensure_future(self._runtime.call(*command))
        self._creating.add(creating)
        creating.add_done_callback(self._creating.discard)
        try:
            await asyncio.shield(creating)
        except RuntimeFailedError as error:
            if _TAKEN.search(str(error)):
                return await self._adopt(attempt)
            # It may have been created before it could not be started, or it starts only now.
            await self._removal.container(attempt.name)
            raise
        return Launched(time.time_ns() // 1_000_000)

    async def _adopt(self, attempt: ContainerAttempt) -> Launched:
        """Takes over an attempt that somebody began before us."""
        if not attempt.holds_slot:
            self._places.take()
            attempt.holds_slot = True
        self._watch(attempt)
        state = await self._appeared(attempt)
        if state is None or not state.begun:
            self._background.begin(self._removal.container(attempt.name))
            text = f"the container {attempt.name} never started, and nobody saw why"
            raise LaunchFailedError(
                FailureKind.INFRASTRUCTURE, text if state else f"the container {attempt.name} is gone"
            )
        if state.key != attempt.key:
            text = f"a container named {attempt.name} exists on this machine that is not this task's; remove it"
            raise LaunchFailedError(FailureKind.CONFIGURATION, text)
        return Launched(state.started_at, state.ended)

    async def _appeared(self, attempt: ContainerAttempt) -> ContainerState | None:
        """The container, once the call that creates it is over: whoever began it may have died meanwhile."""
        until = time.monotonic() + _APPEARS_SECONDS
        # No retry of a failed call: it polls for a state, and an error ends it.
        for delay in delays():
            state = await self._runtime.inspect(attempt.name)
            if (state is not None and state.begun) or time.monotonic() > until:
                return state
            if attempt.directory.share.joinpath("exit").exists():
                # It ran to its end and was removed by somebody.
                return state
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")


def _check_may_create(attempt: ContainerAttempt, runs: HeldRuns) -> None:
    """Raises WithdrawnError, LeaseUncertainError."""
    if attempt.state.stop is not None:
        raise WithdrawnError
    if not runs.may_act(attempt.key.run_id):
        raise LeaseUncertainError(attempt.name)
