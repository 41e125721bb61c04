"""The executors that are connected, to any server of the installation: for the overview, and for the checks of a plan.

Invariants: an executor that says goodbye is gone at once; so is one that is not heard of for a minute and a half, since
an idle one asks for runs every half minute. A row is written every few seconds at most, however often its executor
calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_server.domain.executors import ConnectedExecutor, ExecutorStatus
from penstock_server.services.kept import Kept
from penstock_server.services.ports import Storage

CONNECTED_MILLIS = 90_000
_REMEMBERED_MILLIS = 24 * 3600 * 1000
_WRITTEN_EVERY_SECONDS = 5
_MOST = 1000


class Executors:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._written: Kept[str, bool] = Kept(10_000, _WRITTEN_EVERY_SECONDS)

    def saw(self, owner: str, status: ExecutorStatus) -> None:
        """Called for every claim and heartbeat. Raises UnavailableError."""
        if self._written.get(owner):
            return
        with self._storage.writing() as uow:
            uow.executors.forget_unseen(_REMEMBERED_MILLIS)
            uow.executors.saw(owner, status)
        self._written.put(owner, True)

    def left(self, owner: str) -> None:
        """It stops. Raises UnavailableError."""
        self._written.forget(owner)
        with self._storage.writing() as uow:
            uow.executors.forget(owner)

    def connected(self) -> Sequence[ConnectedExecutor]:
        """Those of today, a thousand at most."""
        with self._storage.reading() as uow:
            return uow.executors.connected(CONNECTED_MILLIS, _MOST)

    def of(self, run_id: str) -> ConnectedExecutor | None:
        """The one that holds a run; None while nobody does, or its executor was not heard of."""
        with self._storage.reading() as uow:
            lease = uow.queue.leases([run_id]).get(run_id)
        return next((one for one in self.connected() if lease and one.owner == lease.owner), None)

    def backends(self) -> set[str]:
        """Where they run tasks; empty if there are none, or if one does not say."""
        names = {executor.status.backend for executor in self.connected()}
        return set() if "" in names else names
