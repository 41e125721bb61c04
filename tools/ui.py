"""Builds the web UI of clients/web into the server's package, from where the gateway serves it (`make ui`).

Invariants: what npm installs is what the lock files say; index.html, which names all other files, is put there last, so
that a build that was broken off is no bundle; each text has a compressed file beside it, with the same bytes each time.

Example: python -m tools.ui    or, for types and unit tests only:    python -m tools.ui --check
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

_ROOT = Path(__file__).resolve().parents[1]
_WEB = _ROOT / "clients" / "web"
# Its source is part of the bundle, and is compiled with its own packages.
_CLIENT = _ROOT / "clients" / "typescript"
_BUNDLE = _ROOT / "server" / "penstock_server" / "ui_bundle"
_TEXTS = {".css", ".html", ".js", ".svg"}


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Check types and run unit tests; build nothing.")
def main(check: bool) -> None:
    try:
        for package in (_CLIENT, _WEB):
            install(package)
        if check:
            _npm(_WEB, "run", "--silent", "check")
            _npm(_WEB, "run", "--silent", "test")
        else:
            build(_BUNDLE)
    except subprocess.CalledProcessError as error:
        raise click.ClickException(str(error)) from error


def install(package: Path) -> None:
    """The packages of its lock file, unless they are there already."""
    # npm writes it last.
    done = package / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (package / "package-lock.json").stat().st_mtime:
        click.echo(f"installing the packages of {package.relative_to(_ROOT)}")
        _npm(package, "ci", "--no-audit", "--no-fund")
        done.touch()


def build(bundle: Path) -> None:
    """Replaces `bundle`."""
    click.echo("building the web UI")
    with tempfile.TemporaryDirectory(prefix="penstock-ui-") as scratch:
        made = Path(scratch) / "made"
        _npm(_WEB, "run", "--silent", "build", "--", f"--outDir={made}", "--emptyOutDir", "--logLevel=warn")
        for file in sorted(made.rglob("*")):
            if file.suffix in _TEXTS:
                file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(made, bundle, ignore=shutil.ignore_patterns("index.html"))
        shutil.copy(made / "index.html", bundle)
    size = sum(file.stat().st_size for file in bundle.rglob("*.gz"))
    click.echo(f"{bundle.relative_to(_ROOT)}: {size / 1024:.0f} KiB compressed")


def _npm(package: Path, *arguments: str) -> None:
    # Node of the development environment first.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(["npm", *arguments], cwd=package, env={**os.environ, "PATH": path}, check=True)


if __name__ == "__main__":
    main()
