"""The command line on an installation with several namespaces: `--namespace`, its variable, and tokens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.embedded import PENSTOCK, Embedded
from tools.testing import specs

A, B = "team-a", "team-b"
ROLES = {"roles": [{"role": "editor", "namespaces": [A, B], "users": ["alice"]}]}


@dataclass(frozen=True)
class CommandLine:
    """As alice types it; `variables` are put over her environment."""

    up: Embedded
    token: str

    def call(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PENSTOCK_TOKEN": self.token, "PENSTOCK_SERVER": self.up.grpc, **variables}
        return subprocess.run([PENSTOCK, *words], env=environment, capture_output=True, text=True, timeout=120)

    def json(self, *words: str, **variables: str) -> Any:
        done = self.call(*words, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def names(self, what: str, **variables: str) -> set[str]:
        return {one["display_name"] for one in self.json(what, "list", **variables)}


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[CommandLine]:
    directory = tmp_path_factory.mktemp("namespaces")
    (directory / "roles.yaml").write_text(json.dumps(ROLES))
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "tokens",
        "PENSTOCK_ROLE_FILE": str(directory / "roles.yaml"),
    }
    with Embedded(directory / "data", environment=environment, environments=environments) as up:
        database = ["--database", f"sqlite:///{up.data_dir}/penstock.db"]
        command = [sys.executable, "-m", "penstock_server.main", "tokens", *database, "create", "cli"]
        words = [*command, "--user", "alice", "--role", "editor"]
        made = subprocess.run(words, check=True, capture_output=True, text=True)
        yield CommandLine(up, made.stdout.strip())


def test_lists_and_what_is_made_are_of_the_namespace(alice: CommandLine, tmp_path: Path) -> None:
    package = str(specs.COMPILED / "artifact_passing.yaml")
    for namespace in (A, B):
        where = ["--namespace", namespace]
        assert alice.json("experiments", "create", f"of {namespace}", *where)["namespace"] == namespace
        assert alice.json("pipelines", "upload", package, "--name", f"of {namespace}", *where)["namespace"] == namespace
    for namespace in (A, B):
        # The variable is the option.
        chosen = {"PENSTOCK_USER_NAMESPACE": namespace}
        assert alice.names("experiments", **chosen) == {f"of {namespace}"}
        # A list of a namespace's pipelines has no shared ones.
        assert alice.names("pipelines", **chosen) == {f"of {namespace}"}


def test_a_run_finds_or_makes_its_experiment_in_the_namespace(alice: CommandLine) -> None:
    package = str(specs.COMPILED / "artifact_passing.yaml")
    words = ["run", package, "-p", "content=x", "--no-caching", "--watch", "--experiment", "nightly", "--namespace"]
    first, again, other = (alice.json(*words, namespace) for namespace in (A, A, B))
    assert {one["state"] for one in (first, again, other)} == {"SUCCEEDED"}
    assert first["experiment_id"] == again["experiment_id"] != other["experiment_id"]
    for namespace, expected in ((A, {first["run_id"], again["run_id"]}), (B, {other["run_id"]})):
        for narrowed in ([], ["--experiment", "nightly"]):
            listed = alice.json("runs", "list", *narrowed, "--namespace", namespace)
            assert {one["run_id"] for one in listed} == expected
        artifacts = alice.json("artifacts", "list", "--namespace", namespace)
        assert {one["run_id"] for one in artifacts} == expected
    of_one_run = alice.json("artifacts", "list", "--run", other["run_id"], "--namespace", A)
    assert {one["run_id"] for one in of_one_run} == {other["run_id"]}


def test_a_run_without_an_experiment_is_in_the_namespaces_default_one(alice: CommandLine) -> None:
    package = str(specs.COMPILED / "artifact_passing.yaml")
    run = alice.json("run", package, "-p", "content=x", PENSTOCK_USER_NAMESPACE=A)
    (default,) = (
        one for one in alice.json("experiments", "list", "--namespace", A) if one["display_name"] == "Default"
    )
    assert (run["experiment_id"], default["namespace"]) == (default["experiment_id"], A)


def test_without_a_namespace_the_command_says_that_one_is_needed(alice: CommandLine) -> None:
    for words in (["experiments", "list"], ["experiments", "create", "x"], ["runs", "list"], ["artifacts", "list"]):
        done = alice.call(*words)
        assert done.returncode == 1 and "namespace" in done.stderr.lower(), (words, done.stderr)


def test_a_list_makes_no_experiment(alice: CommandLine) -> None:
    done = alice.call("runs", "list", "--experiment", "nobody's", "--namespace", A)
    assert done.returncode == 1 and "nobody's" in done.stderr
    assert "nobody's" not in alice.names("experiments", PENSTOCK_USER_NAMESPACE=A)


def test_a_token_that_does_not_count_is_told_with_what_to_do(alice: CommandLine) -> None:
    wrong = alice.token[:-1] + ("a" if alice.token[-1] != "a" else "b")
    done = alice.call("runs", "list", "--namespace", A, PENSTOCK_TOKEN=wrong)
    assert done.returncode == 1 and "--token-file" in done.stderr


def test_an_installation_without_namespaces_takes_no_notice(up: Embedded) -> None:
    line = CommandLine(up, "")
    made = line.json("experiments", "create", "of no namespace", "--namespace", A)
    assert "namespace" not in made
    assert "of no namespace" in line.names("experiments")
    assert "of no namespace" in line.names("experiments", PENSTOCK_USER_NAMESPACE=B)
