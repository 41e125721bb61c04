"""The references that are made from the programs themselves: docs/commands.md, docs/settings.md, docs/imports.md,
docs/authorization.md.

Why from the programs: what `--help` says is what holds; a page that is written by hand falls behind. A test makes both
again and compares.

Example: python -m tools.reference
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
from penstock.cli.main import main as penstock
from penstock_executor.main import main as penstock_executor
from penstock_server.main import main as penstock_server

from tools import authorization_table, import_picture

DOCS = Path(__file__).resolve().parents[1] / "docs"
_HELP = ("--help", "--version")
_COMMANDS = """# Commands

Every command of `penstock`, `penstock-server` and `penstock-executor`, as `--help` tells. The options of those that
serve are in [settings.md](settings.md). Made by `make reference`.
"""
_SETTINGS = """# Settings

Every option of `penstock up`, `penstock-server` and `penstock-executor`, with the environment variable that stands for
it; an option that is given wins. Times are seconds. What a deployment on Kubernetes usually sets is explained in
[deploy/README.md](../deploy/README.md). Made by `make reference` from the programs' tables of settings, in which a
new one is a row ([CONTRIBUTING.md](../CONTRIBUTING.md#a-new-setting)).
"""


def pages() -> dict[Path, str]:
    """The content of each page, by its file."""
    return {
        DOCS / "commands.md": _commands(),
        DOCS / "settings.md": _settings(),
        import_picture.PAGE: import_picture.page(),
        authorization_table.PAGE: authorization_table.page(),
    }


def programs() -> Iterator[tuple[str, click.Command]]:
    """Those whose options are settings: what they are called and their command."""
    up = penstock.get_command(click.Context(penstock), "up")
    assert up is not None
    yield "penstock up", up
    yield "penstock-server", penstock_server
    yield "penstock-executor", penstock_executor


def settings(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option) and one.opts[0] not in _HELP]


def variable(option: click.Option) -> str:
    """Empty for an option that has none."""
    return option.envvar if isinstance(option.envvar, str) else ""


def _settings() -> str:
    text = _SETTINGS
    for name, command in programs():
        text += f"\n## {name}\n\n{_table(settings(command), variables=True)}"
    return text


def _commands() -> str:
    groups = (("penstock", penstock), ("penstock-server", penstock_server), ("penstock-executor", penstock_executor))
    settled = {id(command) for _, command in programs()}
    text = _COMMANDS
    for name, group in groups:
        for path, command, context in _walk(name, group, None):
            text += f"\n## {path}\n\n{_described(command)}\n"
            usage = " ".join(command.collect_usage_pieces(context))
            text += f"\n```\n{path} {usage}\n```\n"
            if id(command) in settled:
                text += f"\nIts options: [settings.md](settings.md#{path.replace(' ', '-')}).\n"
            elif rows := _table(settings(command), variables=False):
                text += f"\n{rows}"
    return text


def _walk(
    path: str, command: click.Command, above: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(command, info_name=path.rsplit(" ", 1)[-1], parent=above)
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _walk(f"{path} {name}", found, context)


def _described(command: click.Command) -> str:
    """Its help, in which an example is a line of code."""
    paragraphs = textwrap.dedent(command.help or "").replace("\b\n", "").strip().split("\n\n")
    shown = []
    for paragraph in paragraphs:
        line = " ".join(paragraph.split())
        example = line.removeprefix("Example: ")
        shown.append(line if example == line else f"Example: `{example}`")
    return "\n\n".join(textwrap.fill(one, 120, break_long_words=False, break_on_hyphens=False) for one in shown)


def _table(options: list[click.Option], *, variables: bool) -> str:
    if not options:
        return ""
    heads = ["option", *(["variable"] if variables else []), "default", "meaning"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for one in options:
        name = ", ".join(f"`{opt}`" for opt in (*one.opts, *one.secondary_opts))
        stands = [f"`{variable(one)}`" if variable(one) else ""] if variables else []
        # Kept for what deployments of Kubeflow Pipelines set; nobody gives it by hand.
        cells = ["" if one.hidden else name, *stands, _default(one), _meaning(one)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _default(option: click.Option) -> str:
    value = option.default
    if value is None or value == "" or callable(value) or type(value).__name__ == "Sentinel":
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (tuple, list)):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _meaning(option: click.Option) -> str:
    text = " ".join((option.help or "").split())
    if isinstance(option.type, click.Choice):
        text += f" One of {', '.join(f'`{one}`' for one in option.type.choices if one)}."
    if option.hidden:
        text = text or "As upstream's server reads it."
    return text.replace("|", "\\|")


def main() -> None:
    for path, content in pages().items():
        path.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
