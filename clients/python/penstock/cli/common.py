"""Shared by all commands: the server's address, --json, errors as one line."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def server_options(command: Command) -> Command:
    """Adds --server, --tls and --json; the command gets `client` and `as_json`."""

    @click.option(
        "--server",
        default="127.0.0.1:8887",
        show_default=True,
        envvar="PENSTOCK_SERVER",
        help="gRPC address of the server.",
    )
    @click.option("--tls", is_flag=True, envvar="PENSTOCK_TLS", help="Speak TLS, with the system's certificates.")
    @click.option("--json", "as_json", is_flag=True, envvar="PENSTOCK_JSON", help="Print JSON and nothing else.")
    @functools.wraps(command)
    def wrapped(*args: Any, server: str, tls: bool, as_json: bool, **kwargs: Any) -> Any:
        from penstock.client import Client, ClientError
        from penstock.documents import BadFileError

        with Client(server, tls=tls) as client:
            try:
                return command(*args, client=client, as_json=as_json, **kwargs)
            except (ClientError, BadFileError) as error:
                raise click.ClickException(str(error)) from error

    return wrapped  # type: ignore[return-value]


def print_message(message: Any) -> None:
    """One message as JSON."""
    click.echo(json.dumps(_document(message), indent=2, ensure_ascii=False))


def print_messages(messages: Iterable[Any]) -> None:
    """Messages as a JSON list."""
    click.echo(json.dumps([_document(message) for message in messages], indent=2, ensure_ascii=False))


def print_table(table: Any) -> None:
    """Prints to stdout; 200 columns wide if that is no terminal, so that lines in a pipe or file are not cut."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=200)
    console.print(table)


def _document(message: Any) -> Any:
    from penstock.whole_numbers import to_dict

    return to_dict(message)
