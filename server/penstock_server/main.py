"""`penstock-server`: its command line, and the only reader of flags and environment in this program.

Invariant: every option is a row of `settings`, which are read here and passed down.
"""

from __future__ import annotations

import os
from typing import Any

import click
from penstock.settings import options, rows

from penstock_server import logs
from penstock_server.db_command import db_command
from penstock_server.errors import PenstockError
from penstock_server.serving import serve
from penstock_server.settings import Settings


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=options(rows(Settings)),
)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Serves the Kubeflow Pipelines API over gRPC and REST.

    Example: penstock-server --grpc 127.0.0.1:8887 --http 127.0.0.1:8888
    """
    if context.invoked_subcommand is not None:
        return
    settings = Settings(**values)
    logs.configure(settings.log_level, settings.log_format)
    try:
        serve(settings, os.environ)
    except PenstockError as error:
        raise click.ClickException(error.for_operators()) from error


main.add_command(db_command)


if __name__ == "__main__":
    main()
