"""Shared by all commands: the server's address and how it is trusted, the namespace, --json, errors as one line, and
all printing.

Invariant: a command prints through `say`, `print_table`, `print_message` and the others here, which make text of
servers and tasks safe for a terminal.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from penstock.terminal_text import printable, printable_chunks, printable_json

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)


def connection_options(command: Command) -> Command:
    """Adds --tls, --ca-file, --client-cert, --client-key, --token and --token-file.

    The command gets `connection`, arguments of `Client`.
    """

    @click.option(
        "--tls",
        "system",
        is_flag=True,
        envvar="PENSTOCK_TLS",
        help="Speak TLS; without --ca-file the authorities that gRPC comes with are trusted.",
    )
    @click.option(
        "--ca-file",
        type=_FILE,
        envvar="PENSTOCK_CA_FILE",
        help="Speak TLS, and trust the authorities in this PEM file.",
    )
    @click.option(
        "--client-cert",
        type=_FILE,
        envvar="PENSTOCK_CLIENT_CERT",
        help="PEM file with one's own certificate, for a server that asks for one.",
    )
    @click.option(
        "--client-key", type=_FILE, envvar="PENSTOCK_CLIENT_KEY", help="PEM file with the key of that certificate."
    )
    @click.option(
        "--token",
        default="",
        envvar="PENSTOCK_TOKEN",
        help="What proves who calls, to a server that asks; others on this machine see it, unlike the variable.",
    )
    @click.option(
        "--token-file", type=_FILE, envvar="PENSTOCK_TOKEN_FILE", help="File with such a token, read at every call."
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        system: bool,
        ca_file: Path | None,
        client_cert: Path | None,
        client_key: Path | None,
        token: str,
        token_file: Path | None,
        **kwargs: Any,
    ) -> Any:
        from penstock.tls_files import TlsFiles, TlsFilesError

        files = TlsFiles(client_cert, client_key, ca_file, ("--client-cert", "--client-key", "--ca-file"))
        try:
            content = files.read()
        except TlsFilesError as error:
            raise click.UsageError(str(error)) from error
        own = (content.certificate, content.key) if content.certificate and content.key else None
        connection = {
            "tls": system,
            "ca_certificate": content.authorities,
            "client_certificate": own,
            "token": token,
            "token_file": token_file,
        }
        return command(*args, connection=connection, **kwargs)

    return wrapped  # type: ignore[return-value]


def server_options(command: Command) -> Command:
    """Adds --server, those of `connection_options` and --json; the command gets `client` and `as_json`."""

    @click.option(
        "--server",
        default="127.0.0.1:8887",
        show_default=True,
        envvar="PENSTOCK_SERVER",
        help="gRPC address of the server.",
    )
    @connection_options
    @click.option("--json", "as_json", is_flag=True, envvar="PENSTOCK_JSON", help="Print JSON and nothing else.")
    @functools.wraps(command)
    def wrapped(*args: Any, server: str, connection: dict[str, Any], as_json: bool, **kwargs: Any) -> Any:
        from penstock.client import Client, ClientError
        from penstock.documents import BadFileError

        with Client(server, **connection) as client:
            try:
                return command(*args, client=client, as_json=as_json, **kwargs)
            except (ClientError, BadFileError) as error:
                raise click.ClickException(printable(str(error))) from error

    return wrapped  # type: ignore[return-value]


def namespace_option(command: Command) -> Command:
    """Adds --namespace, for what is listed or made in a namespace; the command gets `namespace`, empty when none is
    given.
    """
    # PENSTOCK_NAMESPACE says where the Pods of servers and executors go; `penstock up` hands its variables on to both.
    option = click.option(
        "--namespace",
        default="",
        envvar="PENSTOCK_USER_NAMESPACE",
        help="Where it is, on a server with several namespaces; one without them takes no notice.",
    )
    return option(command)


def say(text: str, *, err: bool = False) -> None:
    """A line for people; nothing in it that came from a server or a task commands the terminal."""
    click.echo(printable(text), err=err)


def print_document(document: Any) -> None:
    """As JSON."""
    click.echo(printable_json(json.dumps(document, indent=2, ensure_ascii=False)))


def print_chunks(chunks: Iterable[bytes]) -> None:
    """Content of tasks: as it is into a file or pipe, made safe for a terminal."""
    if sys.stdout.isatty():
        for text in printable_chunks(chunks):
            click.echo(text, nl=False)
        return
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def print_message(message: Any) -> None:
    """One message as JSON."""
    print_document(_document(message))


def print_messages(messages: Iterable[Any]) -> None:
    """Messages as a JSON list."""
    print_document([_document(message) for message in messages])


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
