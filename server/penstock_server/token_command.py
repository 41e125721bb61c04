"""`penstock-server tokens`: makes a token for anybody, in the database.

Why a command of the server: to make a token over the API takes a token or a log-in; the first one is made by who runs
the server, who may read and write its database anyway.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click
from penstock.durations import Duration
from penstock.settings import options, rows

from penstock_server.access.names import is_name
from penstock_server.domain.caller import Caller, Role, Source
from penstock_server.errors import PenstockError
from penstock_server.runtime import SystemClock
from penstock_server.services.tokens import NewToken, TokenService
from penstock_server.settings import Settings, database_url
from penstock_server.storage.database import Database

_ROWS = rows(Settings)


@click.group(
    "tokens",
    context_settings={"help_option_names": ["-h", "--help"]},
    params=options(
        {"database": _ROWS["database"], "data_dir": replace(_ROWS["data_dir"], help="Where the SQLite file lies.")}
    ),
)
@click.pass_context
def token_command(context: click.Context, database: str, data_dir: Path) -> None:
    """API tokens, made in the database itself: for the first one, and for programs.

    Example: penstock-server tokens create ci --user ci@example.com --expires 90d --role editor
    """
    context.obj = database_url(database, data_dir)


@token_command.command("create")
@click.argument("name")
@click.option("--user", required=True, help="Whose the token is; what it may do is what this user may.")
@click.option("--group", "groups", multiple=True, help="A group of that user; may be repeated.")
@click.option("--expires", type=Duration(), default="30d", show_default=True, help="When it ends, such as 12h or 90d.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="What it may do at most.",
)
@click.option("--namespace", "namespaces", multiple=True, help="Where it is good; everywhere unless given; repeatable.")
@click.pass_obj
def create_command(
    url: str,
    name: str,
    user: str,
    groups: tuple[str, ...],
    expires: float,
    role: str,
    namespaces: tuple[str, ...],
) -> None:
    """Make a token and print it; it is shown this once.

    Example: penstock-server tokens create admin --user admin@example.com --role admin --expires 1d
    """
    for one in (user, *groups):
        if not is_name(one):
            raise click.BadParameter(f"{one!r} is not the name of a user or a group", param_hint="--user, --group")
    wanted = NewToken(name, round((time.time() + expires) * 1000), role, namespaces)
    try:
        database = Database(url)
        try:
            database.migrate()
            caller = Caller(user, groups, Source.SYSTEM)
            _, text = TokenService(database, SystemClock()).create(caller, wanted)
        finally:
            database.dispose()
    except PenstockError as error:
        raise click.ClickException(error.for_operators()) from error
    click.echo(text)
