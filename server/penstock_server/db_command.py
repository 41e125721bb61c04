"""`penstock-server db`: shows and migrates the schema of the database, and gives its rows a namespace.

Why a command: a server upgrades its schema when it starts; going back to an older release may need a downgrade, and
some operators want to migrate separately from the start. Whose everything is that was made before there were namespaces
no server can know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from penstock.settings import options, rows

from penstock_server.errors import PenstockError
from penstock_server.services.tenancy import checked_namespace
from penstock_server.settings import Settings, database_url
from penstock_server.storage.assign_namespace import assign_namespace
from penstock_server.storage.database import Database
from penstock_server.storage.schema import Schema, known_revisions

_ROWS = rows(Settings)


@click.group(
    "db",
    context_settings={"help_option_names": ["-h", "--help"]},
    params=options(
        {"database": _ROWS["database"], "data_dir": replace(_ROWS["data_dir"], help="Where the SQLite file lies.")}
    ),
)
@click.pass_context
def db_command(context: click.Context, database: str, data_dir: Path) -> None:
    """The schema of the database: which version it has, and the way to another; the namespace of its rows.

    Servers bring it up to date by themselves when they start.

    Example: penstock-server db --database postgresql://user@host/penstock current
    """
    context.obj = database_url(database, data_dir)


@db_command.command("current")
@click.pass_obj
def current_command(url: str) -> None:
    """Show the database's version and all that this program knows.

    Example: penstock-server db current
    """
    with _schema(url) as schema:
        current = schema.current()
    click.echo(current or "empty")
    names = [revision.name for revision in known_revisions()]
    for revision in known_revisions():
        applied = current is not None and (current not in names or revision.name <= current)
        click.echo(f"  {'*' if applied else ' '} {revision.name}  {revision.text}")
    if current is not None and current not in names:
        click.echo(f"  * {current}  of a later release")


@db_command.command("upgrade")
@click.argument("revision", default="head")
@click.pass_obj
def upgrade_command(url: str, revision: str) -> None:
    """Change the schema to a later version, the newest unless REVISION is given.

    Example: penstock-server db upgrade
    """
    with _schema(url) as schema:
        schema.upgrade(revision)
        click.echo(schema.current() or "empty")


@db_command.command("downgrade")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask: what later versions added is lost.")
@click.pass_obj
def downgrade_command(url: str, revision: str, yes: bool) -> None:
    """Change the schema back to an earlier version; `base` removes all of it. Stop the servers first.

    Example: penstock-server db downgrade 0003
    """
    if not yes:
        click.confirm(f"Everything that versions after {revision} added is lost. Go on?", abort=True)
    with _schema(url) as schema:
        schema.downgrade(revision)
        click.echo(schema.current() or "empty")


@db_command.command("assign-namespace")
@click.argument("namespace")
@click.option("--keep-pipelines-shared", is_flag=True, help="Leave pipelines to all namespaces.")
@click.option(
    "--schedules-namespace",
    envvar=_ROWS["namespace"].variable,
    default=_ROWS["namespace"].default,
    show_default=True,
    help="What recurring runs said until now: POD_NAMESPACE of the servers.",
)
@click.option("--dry-run", is_flag=True, help="Count the rows, change nothing.")
@click.pass_obj
def assign_namespace_command(
    url: str, namespace: str, keep_pipelines_shared: bool, schedules_namespace: str, dry_run: bool
) -> None:
    """Give NAMESPACE everything that was made in single-user mode. Stop the servers first.

    Experiments, runs, recurring runs, pipelines and cached results that have no namespace get it; then the servers can
    start with --multi-user.

    Example: penstock-server db assign-namespace team-a --dry-run
    """
    with _told(), _database(url) as database:
        checked_namespace(namespace, "NAMESPACE")
        changes = assign_namespace(
            database,
            namespace,
            schedules_namespace,
            pipelines_stay_shared=keep_pipelines_shared,
            dry_run=dry_run,
        )
        for table, rows in changes:
            click.echo(f"{table}: {rows}")


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def _schema(url: str) -> Iterator[Schema]:
    with _told(), Schema(url) as schema:
        yield schema


@contextmanager
def _told() -> Iterator[None]:
    """Errors are told to the operator instead of raised."""
    try:
        yield
    except PenstockError as error:
        raise click.ClickException(error.for_operators()) from error
