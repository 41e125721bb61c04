"""`penstock-server`: its command line, and the only reader of flags and environment in this program.

Invariant: every option is a row of `settings`, which are read here and passed down.
"""

from __future__ import annotations

import os
from typing import Any

import click
from penstock.closed_memory import close_memory
from penstock.settings import options, rows

from penstock_server import logs
from penstock_server.db_command import db_command
from penstock_server.errors import PenstockError
from penstock_server.processes import ALONE
from penstock_server.role_command import role_command
from penstock_server.settings import Settings
from penstock_server.supervisor import how_many, supervise
from penstock_server.tls_versions import GRPC_CIPHERS_OF_TLS_13, GRPC_CIPHERS_VARIABLE
from penstock_server.token_command import token_command


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=options(rows(Settings)),
)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Serves the Kubeflow Pipelines API over gRPC and REST, and executors on a port of their own.

    Example: penstock-server --grpc 127.0.0.1:8887 --http 127.0.0.1:8888
    """
    if context.invoked_subcommand is not None:
        return
    close_memory()
    settings = Settings(**values)
    logs.configure(settings.log_level, settings.log_format)
    process, count = ALONE, how_many(settings)
    if count > 1:
        settings, process = supervise(settings, count)
        logs.configure(settings.log_level, settings.log_format, process.number)
    if settings.tls_min_version == "1.3":
        os.environ.setdefault(GRPC_CIPHERS_VARIABLE, GRPC_CIPHERS_OF_TLS_13)
    # Imported here: gRPC looks at that variable when it is imported, and never again.
    from penstock_server.serving import serve

    try:
        serve(settings, os.environ, process)
    except PenstockError as error:
        raise click.ClickException(error.for_operators()) from error


main.add_command(db_command)
main.add_command(token_command)
main.add_command(role_command)


if __name__ == "__main__":
    main()
