"""`penstock pools`: list, show, put, delete."""

from __future__ import annotations

from collections.abc import Iterable

import click
from penstock_api.v1 import pool_pb2 as pb

from penstock.cli.common import namespace_option, print_message, print_messages, print_table, say, server_options
from penstock.client import Client


@click.group()
def pools() -> None:
    """Pools of slots that tasks share, limits of namespaces and users, shares of namespaces.

    Example: penstock pools put gpu --slots 4
    """


@pools.command("list")
@namespace_option
@server_options
def list_pools(namespace: str, client: Client, as_json: bool) -> None:
    """List pools with what is taken and what waits.

    Example: penstock pools list --namespace team-a
    """
    from penstock import render

    listed = client.call(client.pools.ListPools, pb.ListPoolsRequest(namespace=namespace)).pools
    if as_json:
        print_messages(listed)
        return
    rows = [
        (
            pool.name,
            pool.namespace or "everybody",
            str(pool.slots) if pool.HasField("slots") else "no limit",
            str(pool.taken),
            str(pool.waiting),
            str(pool.weight),
        )
        for pool in listed
    ]
    print_table(render.table(("pool", "of", "slots", "taken", "waiting", "weight"), rows))


@pools.command("show")
@click.argument("name")
@namespace_option
@server_options
def show(name: str, namespace: str, client: Client, as_json: bool) -> None:
    """Show who holds slots of a pool and who waits, the first hundred of each.

    Example: penstock pools show gpu
    """
    from penstock import render

    found = client.call(client.pools.GetPool, pb.GetPoolRequest(namespace=namespace, name=name))
    if as_json:
        print_message(found)
        return
    slots = found.pool.slots if found.pool.HasField("slots") else "no limit"
    say(f"{found.pool.name}: {found.pool.taken} of {slots} slots taken, {found.pool.waiting} tasks wait")
    columns = ("", "run", "task", "attempt", "slots", "since")
    print_table(render.table(columns, [*_rows("holds", found.holders), *_rows("waits", found.waiters)]))


def _rows(what: str, uses: Iterable[pb.SlotRequest]) -> list[tuple[str, ...]]:
    from penstock import render

    return [(what, use.run_name, use.path, str(use.attempt), str(use.slots), render.moment(use.since)) for use in uses]


@pools.command("put")
@click.argument("name")
@click.option("--slots", type=click.IntRange(0, 100_000), default=None, help="So many are there to be taken.")
@click.option("--weight", type=click.IntRange(1, 1000), default=1, help="Of namespace/NAME: its share.")
@namespace_option
@server_options
def put(name: str, slots: int | None, weight: int, namespace: str, client: Client, as_json: bool) -> None:
    """Make a pool, or set its slots anew: `gpu`, a mutex with one slot, or the limit of a namespace or a user.

    Example: penstock pools put namespace/team-a --slots 20 --weight 2
    """
    request = pb.PutPoolRequest(pool=pb.Pool(namespace=namespace, name=name, slots=slots, weight=weight))
    made = client.call(client.pools.PutPool, request)
    if as_json:
        print_message(made)
    else:
        say(f"{made.name}: {made.slots if made.HasField('slots') else 'no limit'}")


@pools.command("delete")
@click.argument("name")
@namespace_option
@server_options
def delete(name: str, namespace: str, client: Client, as_json: bool) -> None:
    """Remove a pool. Tasks that wait for it fail, those that hold slots of it go on.

    Example: penstock pools delete gpu
    """
    client.call(client.pools.DeletePool, pb.DeletePoolRequest(namespace=namespace, name=name))
    say("{}" if as_json else f"{name} is deleted", err=not as_json)
