"""How the installation does, in one answer: for the health page, for `penstock overview` and for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

from penstock_server.domain.executors import Overview
from penstock_server.services.executors import Executors
from penstock_server.services.ports import Storage
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

_NO_EXECUTOR = (
    "no executor is connected, so no run goes on: start one with `penstock-executor --server ADDRESS`, or look into "
    "the log of the one that should be there"
)


class OverviewService:
    def __init__(
        self,
        storage: Storage,
        executors: Executors,
        problems: Callable[[], Sequence[str]],
        database: str,
        schema: str,
        tenancy: Tenancy = SINGLE_USER,
    ) -> None:
        """`problems` of what the server needs; `database` is the name of its kind and `schema` its revision."""
        self._storage = storage
        self._executors = executors
        self._problems = problems
        self._database = database
        self._schema = schema
        self._tenancy = tenancy
        self._version = version("penstock")

    def overview(self, namespace: str) -> Overview:
        """Raises InvalidArgumentError, UnavailableError."""
        listed = self._tenancy.listed(self._tenancy.namespace(namespace, "namespace"))
        with self._storage.reading() as uow:
            runs = uow.queue.open_runs(listed)
        executors = self._executors.connected()
        problems = list(self._problems())
        if not executors:
            problems.append(_NO_EXECUTOR)
        return Overview(runs, executors, problems, self._version, self._database, self._schema)
