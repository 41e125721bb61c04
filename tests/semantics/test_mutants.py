"""Rows of docs/semantics.md whose rule is broken: the proof that the row names fails, and for that reason.

Each mutant is a text that is replaced in a copy of the executor's packages, which lies before the installed ones on the
path of the process that carries the proof out; nothing of it stays behind. A text that is not there any more, or a
proof that the row does not name, fails the test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.semantics import ROWS

ROOT = Path(__file__).resolve().parents[2]
PROOFS = {row[0]: row[-1] for row in ROWS}


@dataclass(frozen=True)
class Mutant:
    """`proof` is a pipeline of tests/pipelines or a file of tests; `says` is in what it says when it fails."""

    row: str
    file: str
    rule: str
    broken: str
    proof: str
    says: str


MUTANTS = [
    Mutant(
        "literals", "penstock_executor/engine/inputs.py",
        "if definition.literals and value not in definition.literals:", "if False:",
        "literals", "SUCCEEDED",
    ),
    Mutant(
        "declared parameter that was not written", "penstock_executor/artifacts/output_files.py",
        "        raise NotWrittenError(name)\n", '        return ""\n',
        "missing_parameter_output", "SUCCEEDED",
    ),
    Mutant(
        "condition that cannot be evaluated", "penstock_executor/engine/inputs.py",
        'raise InputError(f"condition {text!r} cannot be decided: {error}") from error', "return False",
        "condition_without_its_key", "SKIPPED",
    ),
    Mutant(
        "environment", "penstock_executor/engine/launch.py",
        "env=set_up.env,", "env=tuple((name, substitute(value, lookup)) for name, value in set_up.env),",
        "env_is_no_template", "Output",
    ),
    Mutant(
        "`cache_key`", "penstock_ir/fingerprint.py",
        "    if cache_key:\n", "    if False:\n",
        "tests/unit/ir/test_fingerprint.py", "task_fingerprint(**keyed)",
    ),
    Mutant(
        "retry", "penstock_executor/engine/retry.py",
        "        delay *= policy.factor\n", "        delay += policy.backoff\n",
        "tests/unit/executor/engine/test_machine.py", "Wake",
    ),
    Mutant(
        "retry of a run", "penstock_executor/engine/rerun.py",
        "behind_change = any(unfinished[dependency] for dependency in task.dependencies)", "behind_change = False",
        "tests/unit/executor/engine/test_machine.py", "Launch",
    ),
    Mutant(
        "time to live", "penstock_executor/backends/kubernetes/retention.py",
        "own = ended.view.ttl_succeeded if ended.succeeded else ended.view.ttl_failed", "own = None",
        "tests/unit/executor/backends/kubernetes/test_retention.py", "60.0",
    ),
    Mutant(
        "time to live", "penstock_executor/engine/launch.py",
        '    for key in (name, "resourceTtlOnCompletion"):\n', "    for key in (name,):\n",
        "tests/unit/executor/engine/test_launch.py", "60.0",
    ),
    Mutant(
        "equal tasks of one run", "penstock_executor/dispatch/session.py",
        "if isinstance(effect, LookUpCache) and not self._unstored[effect.fingerprint]:",
        "if isinstance(effect, LookUpCache):",
        "tests/unit/executor/dispatch/test_session.py", "['a', 'b'] == ['a']",
    ),
    Mutant(
        "cached result", "penstock_executor/dispatch/existence.py",
        "if not await self._exists(namespace, artifact.uri):",
        "if not await self._exists(namespace, artifact.uri) and False:",
        "tests/unit/executor/dispatch/test_existence.py", "is gone",
    ),
    Mutant(
        "cached result", "penstock_executor/dispatch/existence.py",
        "if isinstance(error, NoStoreError) or not (own or error.transient):", "if True:",
        "tests/unit/executor/dispatch/test_existence.py", "it is not known whether",
    ),
    Mutant(
        "deadline of a task", "penstock_executor/backends/local/verdict.py",
        "return FailureKind.USER, f\"the deadline", "return FailureKind.CONFIGURATION, f\"the deadline",
        "deadline_of_a_task", "the deadline of 5 seconds was exceeded",
    ),
    Mutant(
        "image and resources", "penstock_executor/engine/launch.py",
        "resources = resolve_value(dict(container.resources), lookup)", "resources = dict(container.resources)",
        "machine_from_upstream", "pipelinechannel--memory",
    ),
    Mutant(
        "image and resources", "penstock_executor/engine/launch.py",
        "image=substitute(container.image, lookup),", "image=container.image,",
        "tests/unit/executor/engine/test_launch.py", "python:text",
    ),
    Mutant(
        "output URIs", "penstock_executor/engine/names.py",
        'return str(uuid.uuid5(_NAMESPACE, f"{run_id}\\n{path}\\n{attempt}"))',
        'return str(uuid.uuid5(_NAMESPACE, f"{run_id}\\n{path}"))',
        "tests/unit/executor/engine/test_launch.py", "file:///root",
    ),
    Mutant(
        "importer", "penstock_executor/engine/importer.py",
        "        if spec.reimport:\n", "        if not spec.reimport:\n",
        "tests/unit/executor/engine/test_importer.py", "assert",
    ),
    Mutant(
        "gangs", "penstock_executor/engine/machine.py",
        "        if gang.unsettled or not gang.waiting:\n", "        if not gang.waiting:\n",
        "tests/unit/executor/engine/test_gangs.py", "Launch(path='loop[2]/train'",
    ),
]  # fmt: skip


def test_rows_of_the_whole_table_are_among_them() -> None:
    assert len({mutant.row for mutant in MUTANTS}) >= 10


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.row}-{Path(mutant.file).stem}")
def test_the_named_proof_fails(mutant: Mutant, tmp_path: Path, environments: Path) -> None:
    assert f"`{mutant.proof}`" in PROOFS[mutant.row], f"{mutant.proof} is no proof of {mutant.row!r}"
    ignored = shutil.ignore_patterns("__pycache__")
    packages = shutil.copytree(ROOT / "executor", tmp_path / "executor", ignore=ignored)
    file = packages / mutant.file
    text = file.read_text()
    assert text.count(mutant.rule) == 1, f"the rule of {mutant.row!r} is not in {mutant.file} any more"
    file.write_text(text.replace(mutant.rule, mutant.broken))
    done = subprocess.run(
        proof(mutant.proof, tmp_path, environments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, f"it passes, or could not be tried: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    failed = re.findall(r"^(?:[E>]  .*|            .*)$", done.stdout, re.MULTILINE)
    assert any(mutant.says in line for line in failed), f"it fails for another reason: {done.stdout[-3000:]}"


def proof(name: str, directory: Path, environments: Path) -> Sequence[str]:
    if name.startswith("tests/"):
        return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=60", name]
    data = directory / "data"
    data.mkdir()
    (data / "environments").symlink_to(environments)
    report = str(directory / "report.json")
    options = ["--corpus", "tests/pipelines", "--only", name, "--timeout", "60", "--report", report]
    return [sys.executable, "-m", "tools.conformance", *options, "--data-dir", str(data)]
