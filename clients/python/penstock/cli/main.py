"""The group of commands, which are imported when they are called, so that `penstock --help` is fast."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("penstock.cli.up:up", "Start a server and an executor on this machine."),
    "run": ("penstock.cli.run:run", "Run a compiled pipeline."),
    "plan": ("penstock.cli.plan:plan", "Show what a run would do, without running it."),
    "runs": ("penstock.cli.runs:runs", "List, follow, explain, end and repeat runs."),
    "pipelines": ("penstock.cli.pipelines:pipelines", "Upload and list pipelines."),
    "experiments": ("penstock.cli.experiments:experiments", "Create and list experiments."),
    "recurring-runs": ("penstock.cli.recurring_runs:recurring_runs", "Make and look at recurring runs."),
    "artifacts": ("penstock.cli.artifacts:artifacts", "List and download artifacts."),
    "lineage": ("penstock.cli.lineage:lineage", "Show what was made from what, over all runs."),
    "cache": ("penstock.cli.cache:cache", "Say why a task was or was not answered from the cache."),
    "overview": ("penstock.cli.overview:overview", "Say what waits and runs, and what is amiss."),
    "tokens": ("penstock.cli.tokens:tokens", "Make, list and revoke API tokens."),
    "whoami": ("penstock.cli.tokens:whoami", "Say who the server takes you for."),
    "pools": ("penstock.cli.pools:pools", "Share slots between tasks; limit namespaces and users."),
    "roles": ("penstock.cli.roles:roles", "Say who may do what in which namespace."),
    "audit": ("penstock.cli.audit:audit", "Show who did, or was refused, what."),
    "certs": ("penstock.cli.certs:certs", "Make certificates to try TLS with."),
    "doctor": ("penstock.cli.doctor:doctor", "Say what is wrong with this installation."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="penstock-client", prog_name="penstock")
def main() -> None:
    """Kubeflow Pipelines without Argo.

    Example: penstock up, and in another terminal: penstock run pipeline.yaml --watch
    """
