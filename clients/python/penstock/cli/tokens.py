"""`penstock tokens`: create, list, revoke; `penstock whoami`."""

from __future__ import annotations

import time

import click
from penstock_api.v1 import access_pb2 as pb

from penstock.cli.common import print_message, print_messages, print_table, say, server_options
from penstock.client import Client
from penstock.durations import Duration

_ROLES = ("viewer", "editor", "admin")


@click.group()
def tokens() -> None:
    """Make, list and revoke API tokens.

    Example: penstock tokens create ci --expires 90d --role editor --namespace team-a
    """


@tokens.command("create")
@click.argument("name")
@click.option("--expires", type=Duration(), default="30d", show_default=True, help="When it ends, such as 12h or 90d.")
@click.option("--role", type=click.Choice(_ROLES), default="viewer", show_default=True, help="What it may do at most.")
@click.option("--namespace", "namespaces", multiple=True, help="Where it is good; everywhere unless given; repeatable.")
@server_options
def create(name: str, expires: float, role: str, namespaces: tuple[str, ...], client: Client, as_json: bool) -> None:
    """Make an API token of yours and print it; it is shown this once.

    Example: penstock tokens create ci --expires 90d --role editor --namespace team-a
    """
    request = pb.CreateTokenRequest(name=name, role=role, namespaces=namespaces)
    request.expires_at.FromSeconds(int(time.time() + expires))
    created = client.call(client.access.CreateToken, request)
    if as_json:
        print_message(created)
        return
    say(f"token {created.token.token_id}: keep what follows, it is not shown again", err=True)
    say(created.secret)


@tokens.command("list")
@click.option("--all-users", is_flag=True, help="Those of everybody, for administrators.")
@server_options
def list_tokens(all_users: bool, client: Client, as_json: bool) -> None:
    """List your API tokens, newest first.

    Example: penstock tokens list
    """
    from penstock import render

    listed = list(client.list_tokens(all_users=all_users))
    if as_json:
        print_messages(listed)
        return
    rows = [
        (
            token.token_id,
            token.name,
            token.user,
            token.role,
            ", ".join(token.namespaces) or "*",
            render.moment(token.expires_at),
            render.moment(token.last_used_at),
            render.moment(token.revoked_at),
        )
        for token in listed
    ]
    print_table(render.table(("token", "name", "user", "role", "namespaces", "expires", "last used", "revoked"), rows))


@tokens.command("revoke")
@click.argument("token_id")
@server_options
def revoke(token_id: str, client: Client, as_json: bool) -> None:
    """End an API token at once.

    Example: penstock tokens revoke mfrggzdfmztwq2lk
    """
    client.call(client.access.RevokeToken, pb.RevokeTokenRequest(token_id=token_id))
    say("{}" if as_json else f"{token_id} is revoked", err=not as_json)


@click.command()
@server_options
def whoami(client: Client, as_json: bool) -> None:
    """Say who the server takes you for.

    Example: penstock whoami
    """
    found = client.call(client.access.WhoAmI, pb.WhoAmIRequest())
    if as_json:
        print_message(found)
        return
    say(found.user or "nobody: this server asks nobody who they are")
    if found.groups:
        say(f"groups: {', '.join(found.groups)}")
    if found.user:
        say(f"known by: {found.source}{f' {found.token_id}' if found.token_id else ''}")
