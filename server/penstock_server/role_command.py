"""`penstock-server roles`: gives anybody a role, in the database.

Why a command of the server: to give a role over the API takes one; the first administrator is named by who runs the
server, who may read and write its database anyway.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from penstock.settings import options, rows

from penstock_server.domain.caller import Role
from penstock_server.errors import PenstockError
from penstock_server.runtime import SystemClock
from penstock_server.services.role_bindings import RoleBindingService
from penstock_server.settings import Settings, database_url
from penstock_server.storage.database import Database

_ROWS = rows(Settings)


@click.group(
    "roles",
    context_settings={"help_option_names": ["-h", "--help"]},
    params=options(
        {"database": _ROWS["database"], "data_dir": replace(_ROWS["data_dir"], help="Where the SQLite file lies.")}
    ),
)
@click.pass_context
def role_command(context: click.Context, database: str, data_dir: Path) -> None:
    """Roles, given in the database itself: for the first administrator.

    Example: penstock-server roles grant admin --namespace '*' --user ann@example.com
    """
    context.obj = database_url(database, data_dir)


@role_command.command("grant")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@click.option("--namespace", required=True, help="Where it holds; '*' for all namespaces.")
@click.option("--user", default="", help="Who gets it.")
@click.option("--group", default="", help="Whose members get it.")
@click.pass_obj
def grant_command(url: str, role: str, namespace: str, user: str, group: str) -> None:
    """Give a user or a group a role in a namespace.

    Example: penstock-server roles grant admin --namespace '*' --group platform
    """
    try:
        database = Database(url)
        try:
            database.migrate()
            binding = RoleBindingService(database, SystemClock()).create(role, namespace, user, group)
        finally:
            database.dispose()
    except PenstockError as error:
        raise click.ClickException(error.for_operators()) from error
    click.echo(binding.role_binding_id)
