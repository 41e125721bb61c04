"""The SDK's generated command line is recognised exactly or not at all."""

from __future__ import annotations

import pytest
import yaml
from penstock_executor.backends.local.commands import recognise

from tools.testing.specs import COMPILED

ENSURE_PIP = (
    '\nif ! [ -x "$(command -v pip)" ]; then\n'
    "    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\n"
    "PIP_DISABLE_PIP_VERSION_CHECK=1 "
)
INSTALL = "python3 -m pip install --quiet --no-warn-script-location "
USE_VENV = (
    '\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\ntmp=$(mktemp -d)\npython3 -m venv "$tmp/venv" --system-site-packages\n'
    '. "$tmp/venv/bin/activate"\n'
)
END = ' && "$0" "$@"\n'
SDK_2_0 = (
    'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "python3 -m kfp.components.executor_main                         --component_module_path"
    '                         "$program_path/ephemeral_component.py"                         "$@"\n'
)
SDK_2_2 = SDK_2_0.replace("python3 -m kfp.components", "_KFP_RUNTIME=true python3 -m kfp.dsl")


def argv(install: str, program: str = SDK_2_2) -> list[str]:
    return ["sh", "-c", ENSURE_PIP + install + END, "sh", "-ec", program, "def c(): ...", "--executor_input", "{}"]


def lightweight(name: str) -> list[list[str]]:
    spec = next(yaml.safe_load_all((COMPILED / name).read_text()))
    containers = [one["container"] for one in spec["deploymentSpec"]["executors"].values()]
    return [[*one["command"], *one.get("args", [])] for one in containers]


def test_generated_commands_are_recognised() -> None:
    for command in lightweight("wine_quality.yaml"):
        found = recognise(command, {})
        assert found is not None
        assert "def " in found.source
        assert found.args[0] == "--executor_input"
        assert any("kfp==2.17.0" in arguments for arguments in found.installs)


def test_packages_to_install_come_with_it() -> None:
    installs = [recognise(command, {}) for command in lightweight("wine_quality.yaml")]
    assert any("scikit-learn==1.5.2" in words for one in installs if one for words in one.installs)


@pytest.mark.parametrize(
    ("install", "program", "module", "installs"),
    [
        # Before 2.2 everything was one installation, and the program another module.
        (f"{INSTALL}'peppercorn==0.5' 'kfp==2.0.1'", SDK_2_0, "kfp.components", [["peppercorn==0.5", "kfp==2.0.1"]]),
        (f"{INSTALL}'kfp==2.4.0' '--no-deps'", SDK_2_2, "kfp.dsl", [["kfp==2.4.0", "--no-deps"]]),
        # Until 2.13 the SDK came first, since then it comes last.
        (f"{INSTALL}'kfp==2.7.0'  &&  {INSTALL}'six'", SDK_2_2, "kfp.dsl", [["kfp==2.7.0"], ["six"]]),
        (f"{INSTALL}'six'  &&  {INSTALL}'kfp==2.17.0'", SDK_2_2, "kfp.dsl", [["six"], ["kfp==2.17.0"]]),
        # `use_venv`, in front and in the middle.
        (f"{USE_VENV} {INSTALL}'kfp==2.9.0'  && {INSTALL}'six'", SDK_2_2, "kfp.dsl", [["kfp==2.9.0"], ["six"]]),
        (f"{INSTALL}'six'  &&  {USE_VENV} {INSTALL}'kfp==2.17.0'", SDK_2_2, "kfp.dsl", [["six"], ["kfp==2.17.0"]]),
    ],
)
def test_every_sdk_from_2_0_on(install: str, program: str, module: str, installs: list[list[str]]) -> None:
    found = recognise(argv(install, program), {})
    assert found is not None
    assert found.module == f"{module}.executor_main"
    assert [list(words) for words in found.installs] == installs
    assert dict(found.variables) == ({"_KFP_RUNTIME": "true"} if program == SDK_2_2 else {})


def test_variables_are_expanded_as_the_shell_would() -> None:
    options = "--index-url $PIP_INDEX_URL --trusted-host ${HOST} "
    install = f"{INSTALL}{options}'name==$NOT_EXPANDED' && {INSTALL}{options}'kfp'"
    found = recognise(argv(install), {"PIP_INDEX_URL": "https://index.example/simple", "HOST": "index.example"})
    assert found is not None
    index = ("--index-url", "https://index.example/simple", "--allow-insecure-host", "index.example")
    assert found.installs == ((*index, "name==$NOT_EXPANDED"), (*index, "kfp"))


def test_anything_else_runs_as_it_is() -> None:
    command = lightweight("parameter_types.yaml")[0]
    assert recognise(["sh", "-c", "echo hello"], {}) is None
    assert recognise([*command[:2], command[2] + " ; rm -rf /", *command[3:]], {}) is None
    assert recognise([*command[:5], command[5] + "\ntrue", *command[6:]], {}) is None
    assert (
        recognise([*command[:2], command[2].replace("pip install", "pip install --target /"), *command[3:]], {}) is None
    )
    assert recognise(argv(f"{INSTALL}'six' | {INSTALL}'kfp'"), {}) is None
    assert recognise(argv(f"{INSTALL}$(cat requirements.txt)"), {}) is None
    # The image has the SDK, and nothing says which.
    assert recognise(argv(f"{INSTALL}'kfp'")[3:], {}) is None


@pytest.mark.parametrize("name", ["PIP_PRE", "PIP_CONSTRAINT", "PIP_NO_BINARY"])
def test_what_only_pip_can_follow_runs_unchanged(name: str) -> None:
    command = argv(f"{INSTALL}'kfp==2.4.0' '--no-deps'")
    assert recognise(command, {"PIP_NO_CACHE_DIR": "1", "PIP_INDEX_URL": "https://index.example/simple"}) is not None
    assert recognise(command, {name: "1"}) is None
