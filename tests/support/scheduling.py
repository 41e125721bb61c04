"""How `make test` distributes the tests over several pytest-xdist workers.

Invariants: the tests of a file run in one worker, one after another, so a server that they share is started once; the
tests of the clients run in one worker, because they check one server log for all calls; tests that share nothing are
distributed one by one. Directories with slow tests come first and those with many short tests last, so that the workers
finish at about the same time.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

_ORDER = ("clients", "e2e", "integration", "contract", "fuzz", "conformance", "unit", "semantics", "simulation")
"""Directories of tests, the slow ones first. Directories that are not listed come before them."""
_TOGETHER = ("clients",)
_ALONE = ("semantics", "simulation")


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Distributes files in the order that `in_order` gives them."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        # By default files with many tests come first; that says nothing about how long they take.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        directory = _directory(nodeid)
        if directory in _ALONE:
            return nodeid
        return directory if directory in _TOGETHER else nodeid.partition("::")[0]


def in_order(items: list[pytest.Item]) -> None:
    """Sorts tests by directory; within a directory their order stays the same."""
    items.sort(key=lambda item: _place(_directory(item.nodeid)))


def _place(directory: str) -> int:
    return _ORDER.index(directory) if directory in _ORDER else -1


def _directory(nodeid: str) -> str:
    """Below `tests`."""
    return nodeid.partition("::")[0].split("/")[1]
