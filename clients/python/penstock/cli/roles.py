"""`penstock roles`: grant, list, revoke."""

from __future__ import annotations

import click
from penstock_api.v1 import access_pb2 as pb

from penstock.cli.common import print_message, print_messages, print_table, say, server_options
from penstock.client import Client

_ROLES = ("viewer", "editor", "admin")


@click.group()
def roles() -> None:
    """Say who may do what in which namespace, where the server decides by roles.

    Example: penstock roles grant editor --namespace team-a --user ann@example.com
    """


@roles.command("grant")
@click.argument("role", type=click.Choice(_ROLES))
@click.option("--namespace", required=True, help="Where it holds; '*' for all namespaces.")
@click.option("--user", default="", help="Who gets it.")
@click.option("--group", default="", help="Whose members get it.")
@server_options
def grant(role: str, namespace: str, user: str, group: str, client: Client, as_json: bool) -> None:
    """Give a user or a group a role in a namespace.

    Example: penstock roles grant viewer --namespace team-a --group auditors
    """
    request = pb.CreateRoleBindingRequest()
    request.role_binding.role = role
    request.role_binding.namespace = namespace
    request.role_binding.user = user
    request.role_binding.group = group
    created = client.call(client.access.CreateRoleBinding, request)
    if as_json:
        print_message(created)
    else:
        say(created.role_binding_id)


@roles.command("list")
@click.option("--namespace", default="", help="Those of this namespace alone.")
@server_options
def list_roles(namespace: str, client: Client, as_json: bool) -> None:
    """List who has which role; those of the server's role file have no id.

    Example: penstock roles list --namespace team-a
    """
    from penstock import render

    listed = list(client.list_role_bindings(namespace=namespace))
    if as_json:
        print_messages(listed)
        return
    rows = [
        (
            binding.role_binding_id or "(role file)",
            binding.role,
            binding.namespace,
            binding.user or f"group {binding.group}",
            render.moment(binding.created_at),
        )
        for binding in listed
    ]
    print_table(render.table(("id", "role", "namespace", "who", "since"), rows))


@roles.command("revoke")
@click.argument("role_binding_id")
@server_options
def revoke(role_binding_id: str, client: Client, as_json: bool) -> None:
    """Take a role away; it ends within seconds.

    Example: penstock roles revoke 929fd88b-845b-4c33-bc01-7f69c6996538
    """
    client.call(client.access.DeleteRoleBinding, pb.DeleteRoleBindingRequest(role_binding_id=role_binding_id))
    say("{}" if as_json else f"{role_binding_id} is revoked", err=not as_json)
