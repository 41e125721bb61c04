"""`penstock certs`: certificates to try TLS with on one's own machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.common import say

if TYPE_CHECKING:
    from penstock.dev_certificates import DevFiles


@click.group("certs")
def certs() -> None:
    """Make certificates for a machine of one's own."""


@certs.command("dev")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.penstock/certs"),
    show_default=True,
    envvar="PENSTOCK_CERTS_DIR",
    help="Where the files are; what is there and still good stays.",
)
@click.option(
    "--name", "names", multiple=True, help="Host name or address of the server besides this machine's; may be repeated."
)
def dev(directory: Path, names: tuple[str, ...]) -> None:
    """Make an authority, a server's certificate and a client's, or renew those near their end.

    Nobody but the programs that are told to trusts this authority. Not for servers that others use.

    Example: penstock certs dev --dir ./certs --name build-box.example.com
    """
    directory = directory.expanduser().absolute()
    files = dev_files(directory, names, "--dir")
    say(f"{', '.join(files.made) or 'nothing'} made in {directory}")
    say(f"  server:    penstock-server --tls-cert {files.server} --tls-key {files.server_key}")
    say(f"             --tls-client-ca {files.authority}  (where clients need a certificate)")
    say(f"  executor:  --tls-ca {files.authority} --tls-cert {files.client} --tls-key {files.client_key}")
    say(f"  commands:  --ca-file {files.authority} --client-cert {files.client} --client-key {files.client_key}")


def dev_files(directory: Path, names: tuple[str, ...], option: str) -> DevFiles:
    """As `penstock.dev_certificates.ensure`. Raises click.ClickException; `option` is the one with the directory."""
    try:
        from penstock.dev_certificates import ensure
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed here: this is the client only; install penstock-client[certs]"
        ) from error
    try:
        return ensure(directory, names)
    except ValueError as error:
        raise click.UsageError(f"--name: {error}") from error
    except OSError as error:
        raise click.ClickException(f"{option}: {directory} cannot be used: {error.strerror or error}") from error
