"""One run this executor holds: its state, and what of it is not committed yet.

Invariants: an event is applied once and lands in the log in the order of application. Effects wait here until the batch
that holds their event is committed; only cache look-ups, which read, go out at once, unless they ask for a result of
this very run that is not committed. A session that lost its lease does nothing any more: whoever holds the run now
finds everything in the log.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import (
    AttemptEnded,
    AttemptStarted,
    Event,
    RetryRequested,
    RunStarted,
    TerminateRequested,
    decode,
    encode,
)
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline
from penstock_ir.task_rows import TaskPhase, TaskState
from penstock_ir.worker_sharing import stored_sharing

from penstock_executor.attempts import NO_TIMES, AttemptTimes
from penstock_executor.dispatch import convert, rows
from penstock_executor.dispatch.attempt_rows import AttemptRows
from penstock_executor.engine.effects import Effect, FinishRun, Launch, LookUpCache, Release, StoreResult
from penstock_executor.engine.lineage import execution_record, run_record
from penstock_executor.engine.machine import apply, outstanding
from penstock_executor.engine.state import DEFAULT_INFRASTRUCTURE_RETRIES, ContainerNode, Node, RunContext, RunState
from penstock_executor.lineage_records import ExecutionRecord
from penstock_executor.metadata.base import ContextIds

log = logging.getLogger(__name__)

_ROWS_PER_REPORT = 2000
WAITS_FOR_GANG = "waits until the other iterations of the loop can start with it (penstock.dev/gang)"


@dataclass(slots=True)
class Batch:
    """What one report says of one run, and what is to be done once it is committed."""

    transitions: pb.RunTransitions
    events: int
    effects: list[Effect]
    records: list[ExecutionRecord]
    released: list[Release]
    final: bool = False


@dataclass(slots=True)
class RunSession:
    context: RunContext
    fence: int
    state: RunState
    next_sequence: int
    look_up: Callable[[RunSession, LookUpCache], None]
    lost: bool = False
    finishing: bool = False
    adopting: bool = False
    """True from a takeover until its first commit: attempts may run already, also those being canceled."""
    started_reported: bool = False
    _events: list[bytes] = field(default_factory=list)
    _nodes: dict[int, Node] = field(default_factory=dict)
    _effects: list[Effect] = field(default_factory=list)
    # Apart from the effects: nobody waits for them, so they do not hurry a commit.
    _released: list[Release] = field(default_factory=list)
    _results: dict[str, ContainerNode] = field(default_factory=dict)
    # Of results that are not committed: asked for now, they would be found or not by chance.
    _unstored: Counter[str] = field(default_factory=Counter)
    _final: pb.RunUpdate | None = None
    _applied: int = 0
    """How many events of the run were applied, whether they are committed or not."""
    _starts: dict[str, int] = field(default_factory=dict)
    """The numbers of the events by which attempts under way have started that were applied here, by path."""
    # Why attempts wait, by path: no event, since nothing is decided by it.
    _waits: dict[str, str] = field(default_factory=dict)
    _attempts: AttemptRows = field(default_factory=AttemptRows)
    _execution_ids: dict[str, int] = field(default_factory=dict)
    _artifact_ids: dict[str, int] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return self.context.run_id

    @property
    def has_pending(self) -> bool:
        return bool(self._events or self._nodes or self._effects or self._final or self._waits or self._attempts)

    @property
    def urgent(self) -> bool:
        """Something waits for the commit, or there is a whole report's worth."""
        return bool(self._effects or self._final) or len(self._nodes) >= _ROWS_PER_REPORT

    def deliver(self, event: Event, now: int, times: AttemptTimes = NO_TIMES) -> bool:
        """Applies an event; False when it was a duplicate or the run is no longer ours. `times` of its attempt."""
        if self.lost:
            return False
        decision = apply(self.state, event)
        if not decision.accepted:
            return False
        self._events.append(encode(event))
        if isinstance(event, AttemptStarted):
            self._starts.setdefault(event.path, self._applied)
        elif isinstance(event, AttemptEnded):
            self._starts.pop(event.path, None)
        self._applied += 1
        self._nodes.update(decision.changed)
        if self.context.pipeline.has_gangs:
            self._note_gangs(decision.changed.values())
        self._attempts.asked(decision.effects, max(now, event.at))
        self._attempts.note(event, now, times)
        for effect in decision.effects:
            if isinstance(effect, LookUpCache) and not self._unstored[effect.fingerprint]:
                self.look_up(self, effect)
            elif isinstance(effect, Release):
                self._released.append(effect)
            elif isinstance(effect, StoreResult):
                node = decision.changed and _find_changed(decision.changed, effect.path)
                if isinstance(node, ContainerNode):
                    self._results[effect.path] = node
                    self._unstored[effect.fingerprint] += 1
            else:
                self._effects.append(effect)
        return True

    def _note_gangs(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if isinstance(node, ContainerNode) and node.phase is TaskPhase.GANG:
                self._waits[node.path] = WAITS_FOR_GANG
            elif self._waits.get(node.path) == WAITS_FOR_GANG:
                # It is not told yet, and does not hold any more.
                del self._waits[node.path]

    def resume(self, log_lines: list[bytes], at: int, *, terminate: bool) -> list[ExecutionRecord]:
        """Rebuilds the state from the log, then goes on from where it stands.

        Gives the lineage to record again, parents first: of all that was ever reached, because whoever held the run
        before may have committed an end and died before its lineage was in, and the state drops what ended well.
        """
        changed: dict[int, Node] = {}
        reached: dict[str, Node] = {}
        launched: dict[str, int] = {}
        for line in log_lines:
            event = decode(line)
            decision = apply(self.state, event)
            reached.update((node.path, node) for node in decision.changed.values())
            # The server appends a retry by itself, so the rows it changes are not written yet.
            changed = decision.changed if isinstance(event, RetryRequested) else {}
            launched.update((effect.path, event.at) for effect in decision.effects if isinstance(effect, Launch))
        self.next_sequence = self._applied = len(log_lines)
        if not log_lines:
            self.deliver(RunStarted(at, self.context.root), at)
        else:
            # Only of a run that has more rows than a report takes may some be missing.
            owed = reached.values() if len(reached) > _ROWS_PER_REPORT else changed.values()
            self._nodes.update((id(node), node) for node in owed)
            self.adopting = True
            # What our predecessor said of the run may not hold any more.
            self.note_wait("", "")
            for effect in outstanding(self.state):
                if isinstance(effect, LookUpCache):
                    self.look_up(self, effect)
                else:
                    self._effects.append(effect)
                if isinstance(effect, Launch):
                    # What our predecessor told may be lost. The log knows no better time, so every successor tells it.
                    self._attempts.asked([effect], launched[effect.path])
        if terminate and not self.state.terminating:
            self.deliver(TerminateRequested(at), at)
        return self._records(reached.values())

    def finish(self, contexts: ContextIds, at: int) -> None:
        """Queues the last report: the run's final state, after its lineage is in."""
        root = self.state.root
        assert root is not None
        state = TaskState.SUCCEEDED if root.state is TaskState.SUCCEEDED else TaskState.FAILED
        self._final = pb.RunUpdate(
            state=state.value,
            error=rows.storable(root.error),
            at_millis=max(at, root.finished_at),
            finished=True,
            pipeline_context_id=contexts.pipeline,
            pipeline_run_context_id=contexts.run,
        )

    def note_wait(self, path: str, text: str) -> None:
        """Keeps why a task waits, empty when it waits no more; it goes with the next report."""
        self._waits[path] = text

    def note_times(self, path: str, attempt: int, now: int, times: AttemptTimes) -> None:
        """Keeps how far an attempt is; it goes with the next report."""
        self._attempts.reached(path, attempt, now, times)

    def note_ids(self, executions: Mapping[str, int], artifacts: Mapping[str, int]) -> None:
        """Keeps ids that ML Metadata gave, by task path and by artifact name; they go with the next report."""
        self._execution_ids.update(executions)
        self._artifact_ids.update(artifacts)

    def take(self) -> Batch:
        """Everything pending, as one report of bounded size; the rest stays for the next."""
        transitions = pb.RunTransitions(run_id=self.run_id, fence=self.fence, first_sequence=self.next_sequence)
        events, self._events = self._events, []
        effects, self._effects = self._effects, []
        released, self._released = self._released, []
        transitions.events.extend(events)
        nodes = list(self._nodes.values())
        self._nodes = {id(node): node for node in nodes[_ROWS_PER_REPORT:]}
        if self._nodes:
            # The end waits for the last row, which brings the last lineage.
            self._effects = [effect for effect in effects if isinstance(effect, FinishRun)]
            effects = [effect for effect in effects if not isinstance(effect, FinishRun)]
        for node in nodes[:_ROWS_PER_REPORT]:
            rows.fill_task_row(transitions.tasks.add(), node, self.context)
            if node.state.terminal:
                rows.add_artifact_rows(transitions, node)
        records = self._records(nodes[:_ROWS_PER_REPORT])
        results, self._results = self._results, {}
        for node in results.values():
            rows.fill_cache_entry(transitions.cache_entries.add(), node, self.context)
        waits, self._waits = self._waits, {}
        # A row that is still to come would wipe out what was said of it before.
        unsaid = {node.path for node in self._nodes.values()} if waits else set()
        for path, text in waits.items():
            if path in unsaid:
                self._waits[path] = text
            else:
                transitions.waits.add(path=path, text=text)
        transitions.attempts.extend(self._attempts.take(_ROWS_PER_REPORT))
        transitions.execution_ids.update(self._execution_ids)
        transitions.artifact_ids.update(self._artifact_ids)
        self._execution_ids, self._artifact_ids = {}, {}
        final = self._final
        if final is not None and not self._nodes and not self._attempts:
            transitions.run.CopyFrom(final)
            self._final = None
        elif not self.started_reported and self.state.root is not None:
            # Of a run that is retried, the latest start.
            started = max((at for state, at in self.state.root.history if state is TaskState.RUNNING), default=0)
            transitions.run.CopyFrom(pb.RunUpdate(state=TaskState.RUNNING.value, at_millis=started))
            self.started_reported = True
        return Batch(transitions, len(events), effects, records, released, final=transitions.run.finished)

    def committed(self, batch: Batch) -> None:
        """Goes on from a batch that is in: the look-ups that waited for it go out."""
        self.next_sequence += batch.events
        self._unstored -= Counter(entry.fingerprint for entry in batch.transitions.cache_entries)
        for effect in batch.effects:
            if isinstance(effect, LookUpCache):
                self.look_up(self, effect)

    def _records(self, nodes: Iterable[Node]) -> list[ExecutionRecord]:
        run = run_record(self.context)
        return [record for node in nodes if (record := execution_record(node, run)) is not None]

    def start_committed(self, path: str, attempt: int) -> bool:
        """Whether the log has that this attempt, which is under way, has started."""
        node = self.node(path)
        known = node is not None and node.attempt == attempt and bool(node.pod_name)
        return known and self._starts.get(path, -1) < self.next_sequence

    def node(self, path: str) -> ContainerNode | None:
        """The open container task at a path."""
        return self.state.open_tasks.get(path)


def open_session(
    claimed: pb.ClaimedRun,
    *,
    default_root: str,
    workspace_path: str,
    look_up: Callable[[RunSession, LookUpCache], None],
) -> RunSession:
    """A session from what the server gave. Raises InvalidSpecError when the document is none we can run."""
    pipeline = compiled(claimed.pipeline_spec_json, claimed.platform_spec_json)
    arguments: dict[str, Any] = json.loads(claimed.parameters_json or b"{}")
    context = RunContext(
        run_id=claimed.run_id,
        pipeline=pipeline,
        arguments=arguments,
        root=_recorded_root(claimed) or convert.pipeline_root(claimed.pipeline_root or default_root),
        display_name=claimed.display_name,
        resource_name=claimed.resource_name,
        namespace=claimed.namespace,
        service_account=claimed.service_account,
        created_at=claimed.created_at_millis,
        scheduled_at=claimed.scheduled_at_millis,
        workspace_path=workspace_path,
        caching=claimed.policy.caching,
        max_cache_age_millis=claimed.policy.max_cache_age_millis,
        fail_fast=claimed.policy.fail_fast,
        deadline_millis=claimed.policy.deadline_millis or convert.deadline_millis(pipeline),
        documented_final_status=claimed.policy.documented_final_status,
        flat_collected=claimed.policy.flat_collected,
        priority=claimed.policy.priority,
        pool=claimed.policy.pool,
        workers=stored_sharing(claimed.policy.workers),
        infrastructure_retries=(
            claimed.policy.infrastructure_retries
            if claimed.policy.HasField("infrastructure_retries")
            else DEFAULT_INFRASTRUCTURE_RETRIES
        ),
    )
    return RunSession(context=context, fence=claimed.fence, state=RunState(context), next_sequence=0, look_up=look_up)


def _recorded_root(claimed: pb.ClaimedRun) -> str:
    """The root the run began with, whatever the settings say by now; empty before it began."""
    first = decode(claimed.events[0]) if claimed.events else None
    return first.root if isinstance(first, RunStarted) else ""


@lru_cache(maxsize=32)
def compiled(pipeline_spec: bytes, platform_spec: bytes) -> Pipeline:
    """The compiled form, shared by runs of one pipeline. Raises InvalidSpecError."""
    spec = json.loads(pipeline_spec)
    if platform_spec:
        spec = {"pipeline_spec": spec, "platform_spec": json.loads(platform_spec)}
    return compile_pipeline(document_from_json(spec))


def _find_changed(changed: dict[int, Node], path: str) -> Node | None:
    return next((node for node in changed.values() if node.path == path), None)


__all__ = ["Batch", "FinishRun", "RunSession", "open_session"]
