"""The simulated API server as a process of its own, for programs that measure what is beside it.

Invariant: the process ends with the block.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


class SimKubeProcess:
    def __init__(self, process: subprocess.Popen[str], url: str, kubeconfig: Path) -> None:
        self.process = process
        self.url = url
        self.kubeconfig = kubeconfig

    def stats(self) -> dict[str, Any]:
        """What SimKube.stats says."""
        with urllib.request.urlopen(f"{self.url}/sim/stats") as answer:
            return dict(json.load(answer))

    def trouble(self, what: str, document: Any = None) -> None:
        """`faults`, `cut`, `stall`, `repeat`, `compact` or `restart`, with what server.py says of each."""
        body = json.dumps({} if document is None else document).encode()
        urllib.request.urlopen(f"{self.url}/sim/{what}", data=body).close()


@contextmanager
def sim_kube(*arguments: str) -> Iterator[SimKubeProcess]:
    """A running server; `arguments` are those of the command."""
    with tempfile.TemporaryDirectory(prefix="penstock-sim-kube-") as directory:
        kubeconfig = Path(directory) / "kubeconfig"
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.sim_kube", "--kubeconfig", str(kubeconfig), *arguments],
            cwd=_ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline().split()
            if line[:1] != ["ready"]:
                raise RuntimeError(f"the simulated API server did not start: exit {process.wait()}")
            yield SimKubeProcess(process, line[1], kubeconfig)
        finally:
            process.terminate()
            process.wait()
            process.stdout and process.stdout.close()
