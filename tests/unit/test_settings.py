"""Every row of the tables of settings: what is given arrives, by command line, by variable and by `penstock up`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from penstock.cli import up
from penstock.option_types import Address, AddressType, CheckedText
from penstock.settings import Setting, arguments, options, rows, up_rows, variables
from penstock_executor.settings import Settings as ExecutorSettings
from penstock_server.settings import Settings as ServerSettings

SERVER, EXECUTOR = rows(ServerSettings), rows(ExecutorSettings)
UP = up_rows([SERVER, EXECUTOR])
ROWS = [("server", name) for name in SERVER] + [("executor", name) for name in EXECUTOR]
TABLES = {"server": SERVER, "executor": EXECUTOR}
READY = "ready http=http://127.0.0.1:8888 grpc=127.0.0.1:8887 dispatch=127.0.0.1:8886"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in (*SERVER.values(), *EXECUTOR.values()):
        monkeypatch.delenv(row.variable, raising=False)


def parsed(table: Mapping[str, Setting], words: Sequence[str]) -> dict[str, Any]:
    """What a command with these options is handed."""
    return click.Command("test", params=options(table)).make_context("test", [*words]).params


def sample(row: Setting, directory: Path) -> Any:
    """A value of its type that is not the default, as the program gets it."""
    if "/" in row.option or isinstance(row.default, bool):
        value: Any = not row.default
    elif isinstance(row.type, click.Choice):
        value = next(one for one in reversed(row.type.choices) if one != row.default)
    elif isinstance(row.type, AddressType):
        value = Address("::1", 7777)
    elif isinstance(row.type, click.types._NumberRangeBase):
        value = int(row.type.min or 0) + 7 if isinstance(row.type, click.IntRange) else 7.5
    elif isinstance(row.type, click.Path):
        value = directory / "a file"
        value.touch()
        value = value if row.type.file_okay else directory
    elif row.option == "--processes":
        value = 7
    elif row.option == "--executor-account":
        value = "penstock:executor"
    elif isinstance(row.type, CheckedText) and "origin" in row.option:
        value = "https://one.example:443"
    elif row.option == "--store-endpoint":
        value = "https://one.example:9000"
    elif isinstance(row.type, CheckedText):
        value = "one.example:1" if row.option == "--server" else "one.example"
    else:
        value = "--text"
    assert value != row.default
    return (value,) if row.several else value


def as_text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(("program", "name"), ROWS)
def test_a_value_comes_back_from_the_command_line_or_the_environment_it_makes(
    program: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLES[program]
    given = sample(table[name], tmp_path)
    words, environment = arguments(table, {name: given}), variables(table, {name: given})
    assert bool(environment) is not bool(words), "in one of them"
    assert bool(environment) is table[name].secret
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert parsed(table, words)[name] == given


@pytest.mark.parametrize(("program", "name"), ROWS)
def test_a_variable_stands_for_its_option(
    program: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLES[program]
    given = sample(table[name], tmp_path)
    monkeypatch.setenv(table[name].variable, as_text(given))
    assert parsed(table, [])[name] == given


@pytest.mark.parametrize("table", [ServerSettings, ExecutorSettings], ids=["server", "executor"])
def test_what_click_hands_over_are_the_fields(table: Any) -> None:
    settings = table(**parsed(rows(table), []))
    for one in fields(table):
        row = rows(table)[one.name]
        if not row.several and not isinstance(row.type, AddressType):
            assert getattr(settings, one.name) == row.default, one.name


@pytest.mark.parametrize("name", UP)
def test_up_hands_a_value_to_the_programs_whose_row_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sample(UP[name], tmp_path)
    for variable, value in variables(UP, {name: given}).items():
        # The server has it from there, too.
        monkeypatch.setenv(variable, value)
    values = parsed(UP, arguments(UP, {name: given}))
    _, *server_words = up.server_command(values)
    _, *executor_words = up.executor_command(values, READY)
    for table, words in ((SERVER, server_words), (EXECUTOR, executor_words)):
        if name in table and table[name].up is not None:
            got = parsed(table, words)[name]
            assert got == given or (name == "allowed_hosts" and got[-1:] == given), words


def test_up_gives_the_programs_its_own_defaults() -> None:
    values = parsed(UP, [])
    server = parsed(SERVER, up.server_command(values)[1:])
    executor = parsed(EXECUTOR, up.executor_command(values, READY)[1:])
    assert (server["log_level"], executor["log_level"]) == ("warning", "warning")
    assert executor["server"] == "127.0.0.1:8886"
    assert server["dispatch"] == Address("127.0.0.1", 0), "a second one beside the first needs no option for it"
    assert len(server["allowed_hosts"]) == 1, "the machine's own name"
    assert server["executor_auth"] == "secret"
    assert server["dispatch_secret_file"] == executor["dispatch_secret_file"] == Path("~/.penstock/dispatch.key")
    own = {"log_level", "allowed_hosts", "dispatch", "executor_auth", "dispatch_secret_file", "server", "name"}
    for table, got in ((SERVER, server), (EXECUTOR, executor)):
        assert {**parsed(table, []), **{name: got[name] for name in own if name in table}} == got


def test_what_up_hands_to_both_programs_is_the_same_in_both() -> None:
    shared = [name for name in SERVER if name in EXECUTOR and SERVER[name].up and EXECUTOR[name].up]
    assert "data_dir" in shared
    for name in shared:
        one, other = SERVER[name], EXECUTOR[name]
        assert (one.option, one.variable, one.default) == (other.option, other.variable, other.default)
        assert type(one.type) is type(other.type)


def test_up_imports_neither_program_but_for_its_table() -> None:
    heavy = ["grpc", "google.protobuf", "sqlalchemy", "alembic", "aiohttp", "kubernetes", "obstore", "penstock_ir"]
    code = f"import sys, penstock.cli.up; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_penstock_itself_imports_no_table() -> None:
    code = "import sys, penstock.cli; print([name for name in sys.modules if name.endswith('.settings')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("words", [["up"], ["up", "--http", "127.0.0.1:0"]])
def test_up_where_only_the_client_is_installed(words: list[str]) -> None:
    code = (
        "from importlib import metadata; metadata.entry_points = lambda **_: ();"
        f"from penstock.cli import main; main({words})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "this is the client only; install the package `penstock`" in done.stderr


@pytest.mark.parametrize("text", ["nowhere", "127.0.0.1:99999", "127.0.0.1:x", ""])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not HOST:PORT"):
        AddressType().convert(text, None, None)


def test_an_address_that_need_not_be_given() -> None:
    assert AddressType(optional=True).convert("", None, None) is None
    assert AddressType(optional=True).convert(":80", None, None) == Address("127.0.0.1", 80)
