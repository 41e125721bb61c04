"""What deploy/ sets is there to be set: every variable and option of its manifests and of its README has a row.

Why: a variable with a typing error is no error to anybody; the program does not look at it and runs on its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from penstock.settings import Setting, rows
from penstock_executor.settings import Settings as ExecutorSettings
from penstock_server.settings import Settings as ServerSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = sorted([DEPLOY / "compose.yaml", *(DEPLOY / "kustomize").rglob("*.yaml")])
TABLES = {"server": rows(ServerSettings), "executor": rows(ExecutorSettings)}
# Read by libraries: the clients of object stores, and uv, which makes the environments of local tasks.
LIBRARIES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION", "UV_CACHE_DIR"}
PROXIES = {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}
VARIABLE = re.compile(r"\bPENSTOCK_[A-Z_]+\b")
# `${PENSTOCK_IMAGE:-…}` is put in by compose, from the environment of whoever calls it.
INTERPOLATED = re.compile(r"\$\{([A-Z0-9_]+)")


def containers(document: Any) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Of a compose file or an object of Kubernetes: each container of ours, with its variables and its command.

    A patch names the container alone, so it is known by its name: server, executor.
    """
    if "services" in document:
        for name, service in document["services"].items():
            if name in TABLES:
                yield name, service.get("environment", {}), service["command"]
    elif document.get("kind") == "Deployment":
        for one in document["spec"]["template"]["spec"]["containers"]:
            # None for what comes out of a Secret.
            variables = {variable["name"]: variable.get("value") for variable in one.get("env", ())}
            yield one["name"], variables, [*one.get("command", ()), *one.get("args", ())]


def problems(program: str, variables: Mapping[str, Any], command: list[str]) -> Iterator[str]:
    table = {row.variable: row for row in TABLES[program].values()}
    for name, value in variables.items():
        if name in table:
            yield from refused(table[name], value)
        elif name not in LIBRARIES:
            yield f"{program}: {name} is the variable of no setting"
    known = {option for row in table.values() for option in row.option.split("/")}
    for word in command:
        if word.startswith("-") and word.partition("=")[0] not in known:
            yield f"{program}: {word} is no option"


def refused(row: Setting, value: str | None) -> Iterator[str]:
    # Files are those of the container.
    if value is None or isinstance(row.type, click.Path):
        return
    option = row.to_click("value")
    try:
        # As click reads a variable.
        given = option.type.split_envvar_value(value) if row.several else value
        option.type_cast_value(click.Context(click.Command("test")), given)
    except click.BadParameter as error:
        yield f"{row.variable}: {error.message}"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_what_a_manifest_sets_has_a_row(path: Path) -> None:
    documents = [one for one in yaml.safe_load_all(path.read_text()) if one]
    assert [line for one in documents for found in containers(one) for line in problems(*found)] == []


def test_the_manifests_were_read() -> None:
    found = [
        one for path in MANIFESTS for document in yaml.safe_load_all(path.read_text()) for one in containers(document)
    ]
    assert {program for program, _, _ in found} == TABLES.keys()
    assert sum(len(variables) for _, variables, _ in found) > 30


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_a_variable_named_anywhere_in_a_manifest_has_a_row(path: Path) -> None:
    """In paths of replacements, and in comments."""
    text = path.read_text()
    known = {row.variable for table in TABLES.values() for row in table.values()}
    assert set(VARIABLE.findall(text)) - set(INTERPOLATED.findall(text)) - {"PENSTOCK_"} <= known


def test_what_compose_puts_in_is_documented() -> None:
    described = (DEPLOY / "README.md").read_text().split("\n## Compose\n")[1]
    used = set(INTERPOLATED.findall((DEPLOY / "compose.yaml").read_text()))
    assert used
    assert used == set(re.findall(r"`([A-Z0-9_]+)`", described))


def test_the_table_of_the_readme_names_settings_of_the_programs_it_says() -> None:
    table = (DEPLOY / "README.md").read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    lines = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    assert len(lines) > 15
    for names, of in lines:
        programs = {"both": ["server", "executor"]}.get(of.strip(), [of.strip()])
        for variable in set(re.findall(r"`([A-Z_]+)`", names)) - PROXIES:
            for program in programs:
                assert variable in {row.variable for row in TABLES[program].values()}, (variable, program)


@pytest.mark.parametrize(
    ("variables", "command", "problem"),
    [
        ({"PENSTOCK_DATABSE": "x"}, [], "PENSTOCK_DATABSE is the variable of no setting"),
        ({"PENSTOCK_BACKEND": "local"}, [], "PENSTOCK_BACKEND is the variable of no setting"),
        ({"PENSTOCK_HTTP": "0.0.0.0"}, [], "PENSTOCK_HTTP: '0.0.0.0' is not HOST:PORT"),
        ({}, ["penstock-server", "--htp", "0.0.0.0:1"], "--htp is no option"),
        ({}, ["penstock-server", "--no-cache=1"], "--no-cache=1 is no option"),
    ],
)
def test_a_misspelled_setting_is_found(variables: Mapping[str, str], command: list[str], problem: str) -> None:
    [found] = problems("server", variables, command)
    assert problem in found
