"""The port to a place where tasks run: what the engine's shell asks of a backend, and what a backend asks of it.

Invariants: `launch` is idempotent by (run, path, attempt): the same attempt never has two processes or two Pods,
however often and from whichever executor it is called; what exists is adopted. Every launched attempt
ends in exactly one `TaskOutcome` per executor that launched or adopted it. A backend decides nothing about pipelines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from penstock_store.base import ArtifactStore

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch


class BackendUnavailableError(Exception):
    """What the backend runs on (the API server, say) does not answer; the same call may be repeated."""

    transient = True


class LeaseUncertainError(Exception):
    """`launch` created nothing, since the lease of the run is not certain. It is called again when the lease is."""


class NoCapacityError(Exception):
    """`launch` created nothing, since too much runs already or a quota is used up; the text says which."""


class HeldRuns(Protocol):
    """What a backend may ask of the runs this executor holds."""

    def may_act(self, run_id: str) -> bool:
        """Whether the lease of the run is certain at this moment: to be asked right before anything is created."""
        ...

    def fence(self, run_id: str) -> int:
        """What tells this executor's claim of the run from all earlier ones, which have lower numbers; 0 for a run that
        is not held here."""
        ...

    def expects(self, key: AttemptKey) -> bool | None:
        """Whether the attempt is under way in a run held here; None when the run is not held here."""
        ...

    def start_committed(self, key: AttemptKey) -> bool:
        """Whether it is committed that the attempt under way has started: whoever holds its run later knows."""
        ...

    async def over(self, run_ids: Collection[str]) -> set[str]:
        """Those of the runs that have ended or were deleted. Raises ServerUnavailableError."""
        ...


class Backend(Protocol):
    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        """To be called once, before anything else. `deliver` is called on the event loop, never blocks, and accepts
        an event more than once."""
        ...

    async def default_root(self, namespace: str) -> str:
        """The pipeline root of new runs that name none; empty for the executor's own default.

        Raises BackendUnavailableError."""
        ...

    async def store(self, namespace: str) -> ArtifactStore:
        """The store with the artifacts of a namespace's runs, reached with the credentials of that namespace.

        Raises BackendUnavailableError, ArtifactStoreError when the namespace's settings are wrong."""
        ...

    async def launch(self, task: TaskLaunch) -> None:
        """Starts or adopts the attempt; returns once the attempt is known to exist, may wait for a free slot before.

        Failures arrive as a TaskOutcome, not as an exception, but for two: raises LeaseUncertainError, NoCapacityError.
        """
        ...

    def places(self, namespace: str) -> int:
        """How many attempts of a namespace may run at a time, if nothing else runs; 0: without a bound."""
        ...

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        """Reserves capacity for an attempt that is about to be launched. Returns the reason why it has to wait, empty
        when it may be launched. Cheap, and called again and again. The attempt's end gives the capacity back."""
        ...

    def unreserve(self, key: AttemptKey) -> None:
        """The launch is over: capacity that was reserved and that nothing was created for is free again."""
        ...

    async def cancel(self, key: AttemptKey) -> None:
        """Ends the attempt (SIGTERM, SIGKILL after a grace period); it still ends in one TaskOutcome. Unknown keys
        are ignored."""
        ...

    def release(self, key: AttemptKey) -> None:
        """The attempt's outcome is committed: its Pod or directory may go, by the backend's policy. Never blocks."""
        ...

    async def forget(self, run_id: str) -> None:
        """The run is over and all of it is committed: what the backend keeps per run may go."""
        ...

    async def close(self) -> None:
        """Stops watching. Running attempts go on; a later executor adopts them."""
        ...
