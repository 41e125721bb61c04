"""What of a lightweight component's command is a worker's and what is an attempt's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock_executor.backends.kubernetes.lightweight import lightweight_of

from tools.testing.specs import COMPILED

ENSURE_PIP = (
    '\nif ! [ -x "$(command -v pip)" ]; then\n'
    "    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\n"
)
MORE = "python3 -m pip install --quiet --no-warn-script-location "
INSTALL = f"PIP_DISABLE_PIP_VERSION_CHECK=1 {MORE}"
NO_PYTHON_39 = "'typing-extensions>=3.7.4,<5; python_version<\"3.9\"'"
END = ' && "$0" "$@"\n'
BEFORE_2_2 = (
    'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "python3 -m kfp.components.executor_main                         --component_module_path"
    '                         "$program_path/ephemeral_component.py"                         "$@"\n'
)
SINCE_2_2 = BEFORE_2_2.replace("python3 -m kfp.components", "_KFP_RUNTIME=true python3 -m kfp.dsl")
ARGS = ["--executor_input", '{"a": 1}', "--function_to_execute", "c"]


def command(installation: str, program: str = SINCE_2_2) -> list[str]:
    return ["sh", "-c", ENSURE_PIP + installation + END, "sh", "-ec", program, "def c(): ...", *ARGS]


@pytest.mark.parametrize(
    ("installation", "program", "module", "variables"),
    [
        (f"{INSTALL}'kfp==2.0.1'", BEFORE_2_2, "kfp.components", ()),
        (f"{INSTALL}'kfp==2.4.0' '--no-deps' {NO_PYTHON_39}", SINCE_2_2, "kfp.dsl", ("_KFP_RUNTIME=true",)),
        (
            f"{INSTALL}'kfp==2.7.0' '--no-deps' {NO_PYTHON_39}  &&  {MORE}'six' 'pandas>=2,<3'",
            SINCE_2_2,
            "kfp.dsl",
            ("_KFP_RUNTIME=true",),
        ),
        (
            f"{INSTALL}--index-url https://index.example/simple --trusted-host https://index.example 'six'  &&  "
            f"{MORE}'kfp==2.17.0' '--no-deps'",
            SINCE_2_2,
            "kfp.dsl",
            ("_KFP_RUNTIME=true",),
        ),
    ],
    ids=["2.0", "2.4", "2.7", "2.17"],
)
def test_every_sdk(installation: str, program: str, module: str, variables: tuple[str, ...]) -> None:
    found = lightweight_of(command(installation, program))
    assert found is not None
    assert found.install == ("sh", "-c", ENSURE_PIP + installation + END, "true")
    assert found.program() == [
        "/penstock/bin/worker", "--call", "/penstock/share/call", "--",
        *variables, f"{module}.executor_main", "def c(): ...", *ARGS,
    ]  # fmt: skip
    assert found.first_process() == [
        "python3", "/penstock/bin/first_process.py", "--worker", "/penstock/bin/worker",
        "--module", f"{module}.executor_main", *(word for one in variables for word in ("--variable", one)),
    ]  # fmt: skip


def test_an_image_that_has_the_sdk() -> None:
    found = lightweight_of(command(f"{INSTALL}'kfp'")[3:])
    assert found is not None
    assert found.install == ()
    assert (found.source, list(found.args)) == ("def c(): ...", ARGS)


@pytest.mark.parametrize(
    "changed",
    [
        ["sh", "-c", "echo hello"],
        [],
        ["python3", "-m", "kfp.dsl.executor_main", *ARGS],
        command(f"{INSTALL}'six' ; rm -rf /"),
        command(f"{INSTALL}'six' | {INSTALL}'kfp'"),
        command(f"{INSTALL}$(cat requirements.txt)"),
        command(f"{INSTALL}--target /elsewhere 'six'"),
        command(f"{INSTALL}--prefix=/elsewhere 'six'"),
        command(f"{INSTALL}-r requirements.txt"),
        command(f"{INSTALL}'six'", SINCE_2_2 + "true\n"),
        command(f"{INSTALL}'six'", SINCE_2_2.replace("executor_main", "other_main")),
        # `use_venv`: the environment lies in /tmp of the installing container.
        command(
            "\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\ntmp=$(mktemp -d)\n"
            'python3 -m venv "$tmp/venv" --system-site-packages\n. "$tmp/venv/bin/activate"\n'
            f"{MORE}'kfp==2.9.0'"
        ),
    ],
)
def test_anything_else_runs_as_it_is(changed: list[str]) -> None:
    assert lightweight_of(changed) is None


def test_the_installation_runs_and_nothing_behind_it(tmp_path: Path) -> None:
    """As the generated text does, with a pip that writes down what it is told."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> "$SAID"\n[ "$6" != fails ]\n')
    python.chmod(0o755)
    (tmp_path / "pip").symlink_to("python3")
    said = tmp_path / "said"
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SAID": str(said), "NAMED": "more things"}

    def installed(installation: str) -> int:
        found = lightweight_of(command(installation))
        assert found is not None
        return subprocess.run(found.install, env=variables, check=False).returncode

    assert installed(f"{INSTALL}'six'  &&  {MORE}$NAMED") == 0
    install = ["-m", "pip", "install", "--quiet", "--no-warn-script-location"]
    assert said.read_text().split("\n")[:-1] == [*install, "six", *install, "more", "things"]
    assert installed(f"{INSTALL}'fails'  &&  {MORE}'six'") == 1


def test_all_compiled_components() -> None:
    known = 0
    for file in COMPILED.glob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            executors: dict[str, Any] = ((document or {}).get("deploymentSpec") or {}).get("executors") or {}
            containers = [one["container"] for one in executors.values() if "container" in one]
            for container in containers:
                words = [*container.get("command", ()), *container.get("args", ())]
                if any("executor_main" in word for word in words):
                    found = lightweight_of(words)
                    assert found is not None, file
                    assert found.source == container["command"][6]
                    assert list(found.args) == container["args"]
                    known += 1
    assert known > 100
