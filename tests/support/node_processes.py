"""Processes of the cluster's node, found from outside and killed.

The tests that use this run on the node itself, as root. Invariants: of containers only those of Pods that the caller
names are touched; what is a part of the cluster (`kubelet`, `containerd`, `kube-apiserver`) is brought back at once by
the command of PENSTOCK_CLUSTER_UP, and is not killed without one.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil


def wrappers(uids: Collection[str]) -> list[tuple[psutil.Process, str]]:
    """The first process of each container `main` that runs under the wrapper, with its Pod's uid."""
    return [found for found in _contained(uids) if _words(found[0])[:1] == ["/penstock/bin/run"]]


def first_of_workers(uids: Collection[str]) -> list[tuple[psutil.Process, str]]:
    """The first process of each warm worker's container `main`."""
    return [found for found in _contained(uids) if _words(found[0])[:1] == ["/penstock/bin/worker"]]


def wrappers_in_workers(uids: Collection[str]) -> list[tuple[psutil.Process, str]]:
    return [found for found in _contained(uids, first=False) if _words(found[0])[:1] == ["run"]]


def agents(uids: Collection[str]) -> list[tuple[psutil.Process, str]]:
    return [found for found in _contained(uids) if "penstock_executor.agent" in _words(found[0])]


def kill_part(name: str, cluster_up: str) -> None:
    """kill -9 of a part of the cluster, which is brought back. Raises AssertionError when that cannot be done."""
    assert cluster_up, (
        "PENSTOCK_CLUSTER_UP: the command that starts what died of the cluster; nothing is killed without"
    )
    found = [one for one in psutil.process_iter() if _named(one, name)]
    assert found, f"no process {name} here: this test runs on the node, as root"
    try:
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, 10)
    finally:
        # What it finds running may be about to end, because of what died.
        for _ in range(3):
            done = subprocess.run(
                shlex.split(cluster_up), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=240,
            )  # fmt: skip
            if done.returncode == 0:
                break
    assert done.returncode == 0, f"{cluster_up}: {done.stdout[-2000:]}"


def _contained(uids: Collection[str], *, first: bool = True) -> Iterator[tuple[psutil.Process, str]]:
    """The first processes of the Pods' containers, or all others."""
    # The systemd driver writes a uid with underscores.
    spelled = {form: uid for uid in uids for form in (uid, uid.replace("-", "_"))}
    if not spelled:
        return
    for process in psutil.process_iter():
        try:
            groups = Path(f"/proc/{process.pid}/cgroup").read_text()
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        uid = next((uid for form, uid in spelled.items() if f"pod{form}" in groups), "")
        if uid and _first_of_its_namespace(status) == first:
            yield process, uid


def _first_of_its_namespace(status: str) -> bool:
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _named(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name)
    except psutil.Error:
        return False
