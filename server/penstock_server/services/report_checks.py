"""What a report may change, as far as that depends on what is stored: checked in the transaction that would write it.

Invariants: a task that has ended keeps its state, unless its run was opened again by a retry. A result is kept for the
pipeline and the namespace of the run that made it, so no other pipeline is answered from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from penstock_server.domain.dispatch import RunTransitions
from penstock_server.domain.pipeline import Spec
from penstock_server.domain.run import Run, was_reopened
from penstock_server.errors import InvalidArgumentError
from penstock_server.services.ports import UnitOfWork

PipelineName = Callable[[Spec], str]


def check_against_stored(
    uow: UnitOfWork, reported: Sequence[RunTransitions], runs: Mapping[str, Run], pipeline_name: PipelineName
) -> None:
    """Raises InvalidArgumentError that names the field. `reported` are of `runs`, which their sender holds."""
    _check_tasks(uow, reported, runs)
    names: dict[str, str] = {}
    for one in reported:
        if one.cache_entries:
            run = runs[one.run_id]
            if run.spec_hash not in names:
                spec = uow.specs.get(run.spec_hash)
                names[run.spec_hash] = pipeline_name(spec) if spec is not None else ""
            _check_entries(one, run, names[run.spec_hash])


def _check_tasks(uow: UnitOfWork, reported: Sequence[RunTransitions], runs: Mapping[str, Run]) -> None:
    keys = [(one.run_id, task.path) for one in reported if not was_reopened(runs[one.run_id]) for task in one.tasks]
    ended = uow.tasks.ended(keys)
    for one in reported:
        for task in one.tasks:
            before = ended.get((one.run_id, task.path))
            if before is not None and task.state is not before:
                raise InvalidArgumentError(
                    f"task {task.path!r} of run {one.run_id} has ended as {before.value}, it does not become "
                    f"{task.state.value}",
                    "tasks.state",
                )
            if task.state.terminal:
                ended[one.run_id, task.path] = task.state


def _check_entries(one: RunTransitions, run: Run, pipeline_name: str) -> None:
    fingerprints = {task.path: task.fingerprint for task in one.tasks}
    for entry in one.cache_entries:
        if entry.namespace != run.namespace:
            raise InvalidArgumentError(
                f"run {run.run_id} is not of the namespace {entry.namespace!r}", "cache_entries.namespace"
            )
        if entry.pipeline_name != pipeline_name:
            raise InvalidArgumentError(
                f"run {run.run_id} is not of the pipeline {entry.pipeline_name[:80]!r}", "cache_entries.pipeline_name"
            )
        # A row that comes with a later report says nothing here.
        if fingerprints.get(entry.task_path, entry.fingerprint) != entry.fingerprint:
            raise InvalidArgumentError(
                f"task {entry.task_path!r} of run {run.run_id} has another one", "cache_entries.fingerprint"
            )
