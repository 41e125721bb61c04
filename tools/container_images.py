"""Loads image archives into this machine's container runtime, with the names that pipelines ask for.

Invariant: loading again changes nothing: layers that are there are not stored twice.

Example: python -m tools.container_images --aliases ALIASES IMAGE.tar…
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
from penstock_executor.backends.container.probe import DetectedRuntime, NoRuntimeError, find

from tools import debian


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--aliases",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="File of lines `name image`: the name that pipelines ask for, and the image that stands in for it.",
)
@click.argument("archives", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(aliases: Path | None, archives: tuple[Path, ...]) -> None:
    # Whichever runtime podman brings by itself, this one does with every kind of cgroups.
    debian.require("runc")
    debian.require("podman")
    try:
        found = find()
    except NoRuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{found}")
    for archive in archives:
        for line in _call(found, "load", "--quiet", "--input", str(archive)).splitlines():
            click.echo(line)
    for line in aliases.read_text().splitlines() if aliases else ():
        name, _, image = line.partition(" ")
        if name and not name.startswith("#"):
            _call(found, "tag", image.strip(), name)


def _call(found: DetectedRuntime, *arguments: str) -> str:
    """Raises click.ClickException."""
    done = subprocess.run([found.program, *found.options, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"{arguments[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
