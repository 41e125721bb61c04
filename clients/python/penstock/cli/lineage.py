"""`penstock lineage`: what an artifact or a task was made from, and what was made from it, as a tree.

Invariant: a node that several ways lead to is unfolded once, where it comes first; elsewhere it says so. So the tree
is no larger than the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Union

import click
from penstock_api.v1 import insight_pb2 as pb

from penstock.cli.common import print_message, print_table, say, server_options
from penstock.client import Client

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

Node = Union[str, tuple[str, str]]
"""The name of an artifact, or run and path of a task."""


@click.command()
@click.argument("artifact", default="")
@click.option("--run", "run_id", default="", help="Of a task of this run.")
@click.option("--task", "path", default="", help="The path of the task, with --run.")
@click.option("--backwards", is_flag=True, help="Only what it was made from.")
@click.option("--forwards", is_flag=True, help="Only what was made from it.")
@click.option("--depth", type=click.IntRange(1, 20), default=3, show_default=True, help="So many tasks away at most.")
@server_options
def lineage(
    artifact: str,
    run_id: str,
    path: str,
    backwards: bool,
    forwards: bool,
    depth: int,
    client: Client,
    as_json: bool,
) -> None:
    """Show what an artifact or a task was made from, and what was made from it, over all runs.

    Example: penstock lineage 0d3c0f52-5a52-5a39-8f0c-8d2f4a0c1c3d --backwards
    """
    if bool(artifact) is bool(run_id or path) or bool(run_id) is not bool(path):
        raise click.UsageError("name either an ARTIFACT (penstock artifacts list), or a task with --run and --task")
    direction = pb.GetLineageRequest.DIRECTION_BOTH
    if backwards is not forwards:
        way = pb.GetLineageRequest
        direction = way.DIRECTION_BACKWARDS if backwards else way.DIRECTION_FORWARDS
    request = pb.GetLineageRequest(artifact=artifact, run_id=run_id, path=path, direction=direction, depth=depth)
    found: pb.Lineage = client.call(client.insight.GetLineage, request)
    if as_json:
        print_message(found)
        return
    print_table(tree(found, artifact or (run_id, path), direction))
    if found.truncated:
        say("there is more than is shown: farther away (--depth), too much, or in namespaces that you may not read")


def tree(found: pb.Lineage, start: Node, direction: int) -> Tree:
    """The asked node, with a branch for each direction."""
    from rich.tree import Tree

    nodes = _Nodes(found)
    root = Tree(nodes.label(start))
    for title, way, backwards in (
        ("made from", pb.GetLineageRequest.DIRECTION_BACKWARDS, True),
        ("used for", pb.GetLineageRequest.DIRECTION_FORWARDS, False),
    ):
        if direction in (way, pb.GetLineageRequest.DIRECTION_BOTH):
            branch = root.add(f"[bold]{title}[/bold]")
            seen = {start}
            _grow(branch, start, nodes, backwards, seen)
            if backwards and nodes.is_cached(start):
                # What a cached task answered with was there before it.
                for one in nodes.beside(start, backwards=False):
                    _grow(branch.add(nodes.label(one)), one, nodes, backwards, seen)
            if not branch.children:
                branch.add("[dim]nothing that is known[/dim]")
    return root


def _grow(parent: Tree, node: Node, nodes: _Nodes, backwards: bool, seen: set[Node]) -> None:
    for one in nodes.beside(node, backwards):
        label = nodes.label(one)
        if one not in seen:
            seen.add(one)
            _grow(parent.add(label), one, nodes, backwards, seen)
        elif any(nodes.beside(one, backwards)):
            parent.add(label.append("  (see above)", style="dim"))
        else:
            parent.add(label)


class _Nodes:
    def __init__(self, found: pb.Lineage) -> None:
        self._artifacts = {one.artifact.name: one.artifact for one in found.artifacts}
        self._tasks = {(one.run_id, one.path): one for one in found.tasks}
        self._given: dict[Node, list[Node]] = {}
        self._taken: dict[Node, list[Node]] = {}
        for use in found.uses:
            task: Node = (use.run_id, use.path)
            before, after = (task, use.artifact) if use.output else (use.artifact, task)
            self._given.setdefault(before, []).append(after)
            self._taken.setdefault(after, []).append(before)

    def beside(self, node: Node, backwards: bool) -> Iterator[Node]:
        """What comes right before a node, or after it."""
        yield from dict.fromkeys((self._taken if backwards else self._given).get(node, ()))

    def is_cached(self, node: Node) -> bool:
        return not isinstance(node, str) and self._tasks[node].state == "CACHED"

    def label(self, node: Node) -> Text:
        from penstock import render

        if isinstance(node, str):
            artifact = self._artifacts[node]
            text = render.shown(artifact.display_name or node)
            rest = f"  {artifact.type}  {node}" if artifact.run_id else "  the run that made it was deleted"
            return text.append(render.shown(rest, style="dim"))
        task = self._tasks[node]
        text = render.shown(task.display_name or task.path, style="bold").append("  ")
        text.append(render.state_text(task.state))
        run = f"  run {task.run_display_name} ({task.run_id})" if task.run_display_name else f"  run {task.run_id}"
        return text.append(render.shown(run, style="dim"))
