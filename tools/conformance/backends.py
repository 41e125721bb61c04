"""Reports of the same pipelines on several backends, side by side: states, outputs, contents of artifacts.

Every difference has to be explained in the file of explanations; one that is not, an explanation of none, and a case
that failed are errors. Writes a table with a column for each backend.

Example: python -m tools.conformance.backends build/local.json build/container.json build/kubernetes.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from tools.conformance.check import equal

_COLUMNS = {"local": "processes", "container": "containers", "kubernetes": "Kubernetes"}
_HEAD = """# One pipeline, three backends

The same pipelines run as processes, as containers (podman) and as Pods of a real cluster. Compared are the states of
all tasks, their outputs and the content of their artifacts; executions of a task in a loop in any order. Made by
`python -m tools.conformance.backends` from the reports of `make conformance`, one for each backend; a difference that
is not explained is an error.
"""
_TITLES = {
    "pipelines": "`tests/pipelines`",
    "corpus": "Compiled pipelines of Kubeflow Pipelines and its users",
}
"""By the name of the corpus' directory."""
Cases = dict[str, dict[str, Mapping[str, Any]]]
"""By pipeline and backend, what the report says."""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--explanations",
    type=click.Path(path_type=Path, exists=True),
    default=Path("tests/pipelines/backends.json"),
    show_default=True,
    help="By pipeline, why what it comes to differs, or why it has no run on a backend.",
)
@click.option("--table", type=click.Path(path_type=Path), default=Path("docs/backends.md"), show_default=True)
def main(reports: tuple[Path, ...], explanations: Path, table: Path) -> None:
    why: dict[str, str] = json.loads(explanations.read_text("utf-8"))
    corpora = _read(reports)
    wrong: list[str] = []
    text = _HEAD
    for corpus, cases in corpora.items():
        lines = []
        for name, found in sorted(cases.items()):
            differing = list(differences(found))
            if bool(differing) != (name in why):
                wrong.append(f"{name}: {differing or 'the same everywhere'}, explained as {why.get(name)!r}")
            wrong += [f"{name} failed on {one}: {of['problems']}" for one, of in found.items() if not of["passed"]]
            cells = [_cell(found.get(backend)) for backend in _COLUMNS]
            lines.append(f"| `{name}` | {' | '.join(cells)} | {why.get(name, 'the same')} |")
        columns = " | ".join(_COLUMNS.values())
        text += f"\n## {_TITLES.get(corpus, corpus)}: {len(cases)} pipelines\n\n| pipeline | {columns} | compared |\n"
        text += "|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    table.write_text(text, "utf-8")
    for line in wrong:
        click.echo(line)
    click.echo(f"{sum(map(len, corpora.values()))} pipelines, {len(wrong)} unexplained or failed; {table}")
    sys.exit(1 if wrong else 0)


def differences(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is not the same on all backends, by task; a backend without a run is one difference."""
    for backend in _COLUMNS:
        if backend not in found:
            yield f"no run on {backend}"
    (first, outcome), *others = ((backend, case["outcome"]) for backend, case in found.items())
    for backend, other in others:
        if outcome is None or other is None:
            yield f"no outcome on {backend if other is None else first}"
            continue
        if outcome["run"] != other["run"]:
            yield f"{first} {outcome['run']}, {backend} {other['run']}"
        for task in sorted({*outcome["tasks"], *other["tasks"]}):
            left, right = outcome["tasks"].get(task, []), other["tasks"].get(task, [])
            if not equal(left, right):
                yield f"{task}: {first} {left}, {backend} {right}"[:600]


def _read(reports: Sequence[Path]) -> dict[str, Cases]:
    corpora: dict[str, Cases] = {}
    for document in (json.loads(one.read_text("utf-8")) for one in reports):
        cases = corpora.setdefault(document["corpus"], {})
        for result in document["results"]:
            if not result["name"].startswith("upload "):
                cases.setdefault(result["name"], {})[document["backend"]] = result
    return corpora


def _cell(case: Mapping[str, Any] | None) -> str:
    if case is None:
        return "—"
    outcome = case["outcome"]
    if outcome is None or not case["passed"]:
        return "failed"
    tasks = list(chain.from_iterable(outcome["tasks"].values()))
    return f"{outcome['run']}, {len(tasks)} task{'s' if len(tasks) != 1 else ''}"


if __name__ == "__main__":
    main()
