"""The SDK's generated command line is recognised exactly or not at all."""

from __future__ import annotations

import yaml
from penstock_executor.backends.local.commands import recognise

from tests.support.specs import COMPILED


def lightweight(name: str) -> list[list[str]]:
    spec = next(yaml.safe_load_all((COMPILED / name).read_text()))
    containers = [one["container"] for one in spec["deploymentSpec"]["executors"].values()]
    return [[*one["command"], *one.get("args", [])] for one in containers]


def test_generated_commands_are_recognised() -> None:
    for argv in lightweight("wine_quality.yaml"):
        found = recognise(argv)
        assert found is not None
        assert "def " in found.source
        assert found.args[0] == "--executor_input"
        assert any("kfp==2.17.0" in arguments for arguments in found.installs)


def test_packages_to_install_come_with_it() -> None:
    installs = [recognise(argv) for argv in lightweight("wine_quality.yaml")]
    assert any("scikit-learn==1.5.2" in words for one in installs if one for words in one.installs)


def test_anything_else_runs_as_it_is() -> None:
    argv = lightweight("parameter_types.yaml")[0]
    assert recognise(["sh", "-c", "echo hello"]) is None
    assert recognise([*argv[:2], argv[2] + " ; rm -rf /", *argv[3:]]) is None
    assert recognise([*argv[:5], argv[5] + "\ntrue", *argv[6:]]) is None
    assert recognise([*argv[:2], argv[2].replace("pip install", "pip install --target /"), *argv[3:]]) is None
