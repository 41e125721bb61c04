"""A warm worker's attempts, simulated: the agent's own program with what it asks of the Pod replaced (docs/workers.md).

Invariants: no process, no thread and no file for an attempt: a timer, and what the agent itself does. One attempt at a
time. Its outcome is that of SIM_OUTCOME in its variables, else the usual one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGKILL, SIGTERM

from penstock_executor.agent.attempt_process import AttemptProcess, AttemptProcesses
from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.hand_over import HandOver, WorkerStuckError
from penstock_executor.agent.protocol import AgentTask, AttemptResult, ProcessExit
from penstock_executor.agent.results import parse_message

from tools.sim_kube.container_log import ContainerLog
from tools.sim_kube.expansion import NOTHING, Given
from tools.sim_kube.outcome import Outcome

VARIABLE = "SIM_OUTCOME"
ENDS_THE_POD = frozenset(("oom", "evicted", "preempted", "taken-back", "node-lost", "deadline"))
_TAIL_LINES = 20
_TAIL_CHARACTERS = 2048


@dataclass(frozen=True)
class _Order:
    outcome: Outcome
    log_token: str
    given: Given = NOTHING


class FakeProgram:
    """The worker's first process. `usual` is what becomes of an attempt that brings no outcome, `seconds` how long one
    runs that says nothing of it; `breaks` is called by an attempt that ends more than itself. `variables` are those of
    the container.
    """

    def __init__(
        self,
        log: ContainerLog,
        *,
        usual: Outcome,
        seconds: Callable[[], float],
        breaks: Callable[[Outcome], None],
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._variables = variables or {}
        self._usual = usual
        self._seconds = seconds
        self._breaks = breaks
        self._order = _Order(usual, "")
        self._process: FakeProcess | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._early_signal = 0
        self.gone = ""
        """Why it takes no attempts any more."""

    def ordered(self, arguments: Sequence[str], variables: Mapping[str, str], log_token: str) -> None:
        """Raises ValueError."""
        text = variables.get(VARIABLE)
        given = Given(list(arguments), {**self._variables, **variables}).of_program()
        try:
            self._order = _Order(Outcome.from_annotation(text) if text else self._usual, log_token, given)
        except TypeError as error:
            raise ValueError(str(error)) from error

    def prepared(self) -> FakeProcess:
        self._process = FakeProcess()
        self._early_signal = 0
        return self._process

    def start(self) -> None:
        outcome = self._order.outcome
        assert self._process is not None
        self._process.started_at = _now()
        self.log.write(f"::penstock-attempt {self._order.log_token} begin\n{_whole_lines(outcome.log)}")
        if outcome.echo:
            self.log.write(self._order.given.line())
        if self._early_signal:
            self.signal(self._early_signal)
        elif outcome.kind != "runs-forever":
            seconds = self._seconds() if outcome.seconds is None else outcome.seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self._run_out)

    def signal(self, number: int) -> None:
        """The attempt that runs, if any, ends by it; one that is about to begin as soon as it does."""
        if self._process is not None and not self._process.started_at:
            self._early_signal = number
        self._end(ProcessExit(128 + number, signal=number))

    def die(self, why: str) -> None:
        """The program of the attempt with it."""
        self.gone = self.gone or why
        self._end(None)

    async def attempt_ended(self) -> None:
        """Returns when none runs."""
        if self._process is not None:
            await asyncio.wait((self._process.ended,))

    def _run_out(self) -> None:
        outcome = self._order.outcome
        if outcome.kind in ENDS_THE_POD:
            self._breaks(outcome)
        else:
            self._end(ProcessExit(outcome.exit_code))

    def _end(self, exit_: ProcessExit | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        process = self._process
        if process is None or not process.runs:
            return
        self.log.write(f"::penstock-attempt {self._order.log_token} end\n")
        process.end(exit_, self._order.outcome)


class FakeProcess(AttemptProcess):
    """The agent's process of one attempt."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[AttemptResult] = asyncio.get_running_loop().create_future()
        self.started_at = 0
        self._task = AgentTask("")
        self._stopped = False

    @property
    def runs(self) -> bool:
        """Whether its program does."""
        return bool(self.started_at) and not self.ended.done()

    def give(self, task: AgentTask) -> None:
        self._task = task

    def wrapper_has_ended(self) -> None:
        pass

    def stop(self) -> None:
        self._stopped = True

    def kill(self) -> None:
        self.ended.cancel()

    async def result(self) -> AttemptResult:
        return await self.ended

    def end(self, exit_: ProcessExit | None, outcome: Outcome) -> None:
        """The program has ended. What the attempt leaves are the texts that its outcome has for the agent's message."""
        now = _now()
        given = parse_message(outcome.messages.get("agent") or outcome.messages.get("main") or "")
        left = given if isinstance(given, AttemptResult) else AttemptResult(exit=None)
        if exit_ is not None:
            size = len(outcome.log.encode())
            exit_ = replace(exit_, started_at=self.started_at, finished_at=now, log_bytes=size)
        if exit_ is None or exit_.code:
            left = AttemptResult(exit_, failure=left.failure, tail=_tail(outcome.log) if self._task.tail else "")
        elif self._stopped:
            text = "the Pod was ended while its program ran, so its outputs were not taken"
            left = AttemptResult(exit_, failure=(INFRASTRUCTURE, text))
        fetched = self.started_at if self._task.inputs else 0
        self.ended.set_result(replace(left, exit=exit_, log_stored=True, fetched_at=fetched, stored_at=now))


class FakeProcesses(AttemptProcesses):
    def __init__(self, program: FakeProgram) -> None:
        self._program = program

    async def start(self) -> AttemptProcess:
        return self._program.prepared()


class FakeHandOver(HandOver):
    def __init__(self, program: FakeProgram) -> None:
        super().__init__(Path("/nowhere"))
        self._program = program

    async def ready(self) -> None:
        self._check("work")

    def instructions(self, arguments: Sequence[str], variables: Mapping[str, str], log_token: str) -> bytes:
        encoded = super().instructions(arguments, variables, log_token)
        self._program.ordered(arguments, variables, log_token)
        return encoded

    async def give(self, instructions: bytes) -> None:
        self._check("work")
        self._program.start()

    async def leave(self) -> None:
        pass

    async def attempt_ended(self) -> None:
        await self._program.attempt_ended()

    async def stop(self, *, at_once: bool) -> None:
        self._program.signal(SIGKILL if at_once else SIGTERM)

    async def taken(self, *, goes_on: bool) -> None:
        self._check("done")

    def _check(self, kind: str) -> None:
        """At once: a real agent looks for more than a minute. Raises WorkerStuckError."""
        if self._program.gone:
            raise WorkerStuckError(f"the worker does not come to {kind!r}")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _whole_lines(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _tail(log: str) -> str:
    return "".join(log.splitlines(keepends=True)[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]
