"""A cluster, and a Penstock beside it whose tasks are Pods there: what the tests on Kubernetes share.

Invariants: every test session has namespaces of its own and leaves nothing behind; server and executor are processes of
this machine, the object store too, which Pods reach at the node's address.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client

from tests.support.go_ahead import GoAhead, go_ahead
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock

_FAULTS = pytest.StashKey[dict[str, dict[str, Any]]]()
_COLUMNS = ("runs", "strikes", "faults", "tasks", "attempts", "pods", "workers", "twice", "gaps", "seconds", "cleared")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("KUBECONFIG: these tests need a cluster; run them with `make test-kube`")
    with Cluster() as made:
        yield made


@pytest.fixture(scope="session")
def kube(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePenstock]:
    """A server and an executor, for all tests that leave them as they are."""
    # A registry that does not answer is waited for, each attempt anew; not as long as in production.
    settings = {"PENSTOCK_IMAGE_PULL_DEADLINE": "6"}
    with kube_penstock(cluster, tmp_path_factory.mktemp("kube"), settings=settings) as up:
        yield up


@pytest.fixture
def own_kube(cluster: Cluster, tmp_path: Path) -> Iterator[KubePenstock]:
    """A Penstock and a namespace of the test's own, to be broken."""
    with kube_penstock(cluster, tmp_path / "data") as up:
        yield up


@pytest.fixture
def kube_client(kube: KubePenstock) -> Iterator[Client]:
    with ExitStack() as stack:
        yield stack.enter_context(Client(kube.up.grpc))


@pytest.fixture
def go(cluster: Cluster) -> Iterator[GoAhead]:
    """Lets those tasks go on whose script has its `wait`."""
    with go_ahead(cluster.node_address()) as given:
        yield given


@pytest.fixture
def fault_seed() -> int:
    """Decides what is killed when; shown when the test fails."""
    seed = int(os.environ.get("PENSTOCK_FAULT_SEED") or time.time_ns() % 1_000_000)
    print(f"PENSTOCK_FAULT_SEED={seed}")  # noqa: T201
    return seed


@pytest.fixture
def fault_figures(request: pytest.FixtureRequest, fault_seed: int) -> Callable[[str, dict[str, Any]], None]:
    """Takes what a test of faults counted: a row of the table at the end, and of build/faults.json."""
    rows = request.config.stash.setdefault(_FAULTS, {})

    def record(what: str, figures: dict[str, Any]) -> None:
        rows[what] = {**figures, "seed": fault_seed}

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_FAULTS, {})
    if not rows:
        return
    terminalreporter.section("faults")
    width = max(map(len, rows))
    terminalreporter.line(" ".join([" " * width, *(f"{name:>8}" for name in (*_COLUMNS, "seed"))]))
    for what, figures in rows.items():
        cells = (str(figures.get(name, "")) for name in (*_COLUMNS, "seed"))
        terminalreporter.line(" ".join([f"{what:{width}}", *(f"{cell:>8}" for cell in cells)]))
    file = config.rootpath / "build" / "faults.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows, indent=1))
