"""A warm worker whose first process is a Python with the SDK imported (docs/workers.md)."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.support.warm_worker import AS_USER
from tools.build_wrapper import AGENT
from tools.testing import wrapper

MODULE = "kfp.dsl.executor_main"
RUNTIME = "_KFP_RUNTIME=true"
COLD = f"""program_path=$(mktemp -d)

printf "%s" "$0" > "$program_path/ephemeral_component.py"
{RUNTIME} python3 -m {MODULE}                         --component_module_path                         \
"$program_path/ephemeral_component.py"                         "$@"
"""


@cache
def interpreter() -> tuple[str, dict[str, str]]:
    """The `python3` that the worker's user finds, and the variables with which it does and has the SDK.

    The one of these tests, unless that user may not start it. Raises RuntimeError.
    """
    spec = importlib.util.find_spec("kfp")
    assert spec is not None and spec.origin is not None
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = ""
    for variables in (path, {**path, "PYTHONPATH": str(Path(spec.origin).parent.parent)}):
        script = f'{RUNTIME} python3 -c "import {MODULE}" && command -v python3'
        tried = subprocess.run(
            [*AS_USER, "sh", "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        if tried.returncode == 0:
            return tried.stdout.strip(), variables
        said = tried.stderr
    raise RuntimeError(said)


def first_process(place: Path, worker: Path = wrapper.WORKER, module: str = MODULE, **more: str) -> Path:
    """A program in `place` that becomes it, with the options of any worker; `more` are variables."""
    python, variables = interpreter()
    command = [python, str(AGENT / "first_process.py"), "--worker", str(worker), "--module", module]
    settings = [f"{name}={value}" for name, value in {**variables, **more}.items()]
    program = place / "first-process"
    started = shlex.join(["env", *settings, *command, "--variable", RUNTIME])
    program.write_text(f'#!/bin/sh\nexec {started} "$@"\n')
    program.chmod(0o755)
    return program


def program(share: Path, source: str, executor_input: str = "{}", *arguments: str) -> list[str]:
    """What the wrapper runs for the component `c` of `source`."""
    return [
        str(wrapper.WORKER), "--call", str(share / "call"), "--", RUNTIME, MODULE, source,
        "--executor_input", executor_input, "--function_to_execute", "c", *arguments,
    ]  # fmt: skip


def cold_program(source: str, executor_input: str = "{}", *arguments: str) -> list[str]:
    """The same as the SDK compiles it, without its installations."""
    return [
        "sh", "-ec", COLD, source, "--executor_input", executor_input, "--function_to_execute", "c", *arguments
    ]  # fmt: skip
