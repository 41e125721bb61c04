"""The simulated API server, or another program that injects faults, as a process of its own.

For benchmarks, whose own process must not be loaded. Invariant: the process ends with the block.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


class Troublemaker:
    """A process that takes orders below `prefix`; `kubeconfig` leads to it."""

    def __init__(self, process: subprocess.Popen[str], url: str, kubeconfig: Path, prefix: str) -> None:
        self.process = process
        self.url = url
        self.kubeconfig = kubeconfig
        self._prefix = prefix

    def stats(self) -> dict[str, Any]:
        """The statistics of the program."""
        with urllib.request.urlopen(f"{self.url}{self._prefix}stats") as answer:
            return dict(json.load(answer))

    def control(self, what: str, document: Any = None) -> None:
        """`faults` with a list of faults that take the place of those before, `cut`, or what else the program knows."""
        body = json.dumps({} if document is None else document).encode()
        urllib.request.urlopen(f"{self.url}{self._prefix}{what}", data=body).close()


@contextmanager
def troublemaker(module: str, prefix: str, *arguments: str) -> Iterator[Troublemaker]:
    """A running `python -m MODULE`, which writes a kubeconfig and says `ready URL`."""
    with tempfile.TemporaryDirectory(prefix="penstock-kube-") as directory:
        kubeconfig = Path(directory) / "kubeconfig"
        command = [sys.executable, "-m", module, "--kubeconfig", str(kubeconfig), *arguments]
        with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline().split()
                if line[:1] != ["ready"]:
                    raise RuntimeError(f"{module} did not start")
                yield Troublemaker(process, line[1], kubeconfig, prefix)
            finally:
                process.terminate()


@contextmanager
def sim_kube(*arguments: str) -> Iterator[Troublemaker]:
    """A running simulated server; `arguments` are those of the command."""
    with troublemaker("tools.sim_kube", "/sim/", *arguments) as process:
        yield process
