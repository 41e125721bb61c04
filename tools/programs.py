"""Installs the programs that tests and tools start, other than Python packages (`make test-programs`).

Debian packages with apt-get, as root; Go programs from their modules and Azurite from npm into `build/bin`; the npm
packages of the TypeScript client into its directory. Invariants: tests install nothing themselves; what is installed
already is not changed; a second call does nothing.

Example: python -m tools.programs tests containers
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from tools import debian, deploy_check, go_programs, kwok, manifests, oauth2_proxy, object_stores

_CLIENTS = Path(__file__).resolve().parents[1] / "clients"


@dataclass(frozen=True, slots=True)
class Group:
    """`debian` are programs of `tools.debian`, `go` modules; `others` are functions that install what is missing."""

    debian: Sequence[str] = ()
    go: Sequence[str] = ()
    others: Sequence[Callable[[], None]] = ()


def _clients() -> None:
    """The packages that the clients in TypeScript and Go are built with."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    subprocess.run(["go", "mod", "download"], cwd=_CLIENTS / "go", env=environment, check=True)
    typescript = _CLIENTS / "typescript"
    # npm writes it last.
    done = typescript / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (typescript / "package-lock.json").stat().st_mtime:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=typescript, env=environment, check=True)


KUEUE = "sigs.k8s.io/kueue/cmd/kueue@v0.17.0"
# kubectl has it built in.
_KUSTOMIZE = () if shutil.which("kubectl") else (manifests.KUSTOMIZE,)
GROUPS = {
    "tests": Group(
        debian=("initdb", "mariadbd", "chromium", "gcc", "curl", "jq", "/usr/bin/python3"),
        go=(object_stores.VERSITYGW, object_stores.FAKE_GCS, oauth2_proxy.OAUTH2_PROXY),
        others=(object_stores.install_azurite, _clients),
    ),
    "containers": Group(debian=("runc", "podman", "/bin/busybox"), go=(object_stores.VERSITYGW,)),
    "cluster": Group(debian=("initdb",), go=(object_stores.VERSITYGW, *_KUSTOMIZE, kwok.KWOK)),
    "queues": Group(go=(KUEUE,)),
    "deploy": Group(go=(deploy_check.COMPOSE, *_KUSTOMIZE)),
}


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("groups", nargs=-1, type=click.Choice(tuple(GROUPS)))
def main(groups: tuple[str, ...]) -> None:
    """All groups when none is named."""
    wanted = [GROUPS[name] for name in groups or GROUPS]
    try:
        debian.install([program for group in wanted for program in group.debian])
        for group in wanted:
            for module in group.go:
                go_programs.build(module)
            for install in group.others:
                install()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
