"""What a warm worker does, from its agent's side: it is made ready, carries out an attempt, is made ready again.

Invariants: one attempt at a time; nothing begins once the worker is `over`, whyever it is; what runs is never left
before its end is told, and that is told whatever became of the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from penstock_executor.agent.attempt_process import AttemptProcess, AttemptProcesses
from penstock_executor.agent.begun import RefusedError
from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.hand_over import HandOver, WorkerStuckError
from penstock_executor.agent.protocol import AgentTask, AttemptResult

TOLD_TO_END = "it was told to end"


@dataclass(frozen=True, slots=True)
class _Order:
    """An attempt that is to be begun."""

    identity: str
    process: AttemptProcess
    task: AgentTask
    instructions: bytes


class Life:
    """`ended` hears of each attempt's result; `changed` when the worker has become ready, or is over."""

    def __init__(
        self,
        hand_over: HandOver,
        processes: AttemptProcesses,
        ended: Callable[[str, AttemptResult], None],
        changed: Callable[[], None],
    ) -> None:
        self._hand_over = hand_over
        self._processes = processes
        self._ended = ended
        self._changed = changed
        self._lives = False
        self._process: AttemptProcess | None = None
        """Of the attempt that runs, or of the next one."""
        self._starting: asyncio.Future[AttemptProcess] | None = None
        self._next: asyncio.Future[_Order | None] | None = None
        """While the worker is ready: what it does next, None for nothing any more."""
        self.running = ""
        self.over = ""
        """Why nothing begins any more; what runs goes on."""
        self.stuck = False
        """Whether it is over otherwise than it should be."""
        self.leaving = False
        """Whether the Pod ends."""

    @property
    def ready(self) -> bool:
        return not self.over and self._waits()

    @property
    def busy(self) -> bool:
        """Whether it must not be left as it is."""
        return bool(self.running) or (self._lives and not self.leaving and not self._waits())

    def begin(self, identity: str, task: AgentTask, instructions: bytes) -> None:
        """Of a worker that is ready."""
        assert self._next is not None and self._process is not None
        self.running = identity
        self._next.set_result(_Order(identity, self._process, task, instructions))

    def check_ready(self) -> None:
        """Raises RefusedError."""
        if not self.ready:
            raise RefusedError(self.over or "it is busy")

    async def cancel(self, identity: str, *, at_once: bool) -> None:
        """If it runs."""
        if identity == self.running and self._process is not None:
            self._process.stop()
            await self._hand_over.stop(at_once=at_once)

    def take_no_more(self, why: str, *, stuck: bool = False) -> None:
        self.stuck = self.stuck or stuck
        if self.over:
            return
        self.over = why
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        self._changed()

    def pod_ends(self) -> None:
        """The worker's first process is told so, too."""
        self.leaving = True
        if self.running and self._process is not None:
            self._process.stop()
        self.take_no_more(TOLD_TO_END)
        self._changed()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
        if (starting := self._starting) is None or starting.cancel() or starting.cancelled():
            return
        if starting.exception() is None:
            starting.result().kill()

    async def live(self) -> None:
        """Until the worker is over and nothing runs."""
        self._lives = True
        try:
            while not self.over:
                starting = self._start_process()
                await self._hand_over.ready()
                self._process, self._starting = await starting, None
                order = await self._next_order()
                if order is None:
                    await self._hand_over.leave()
                else:
                    await self._carry_out(order)
        except (WorkerStuckError, OSError) as error:
            self.take_no_more(str(error), stuck=True)
        finally:
            self.running, self._lives = "", False
        self._changed()

    def _start_process(self) -> asyncio.Future[AttemptProcess]:
        """Of the next attempt: while the worker clears up."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._processes.start())
        return self._starting

    async def _next_order(self) -> _Order | None:
        self._next = asyncio.get_running_loop().create_future()
        if self.over:
            return None
        self._changed()
        return await self._next

    async def _carry_out(self, order: _Order) -> None:
        """Raises WorkerStuckError when no other can follow."""
        stuck = None
        try:
            # Before the program begins, so that its end is never missed.
            order.process.give(order.task)
            await self._hand_over.give(order.instructions)
            result = await self._result(order.process)
        except (WorkerStuckError, OSError) as error:
            stuck = error
            result = AttemptResult(exit=None, failure=(INFRASTRUCTURE, f"the worker cannot be used: {error}"))
            order.process.kill()
        self._process = None
        self._ended(order.identity, result)
        if stuck is not None:
            raise WorkerStuckError(str(stuck)) from stuck
        if not self.over:
            self._start_process()
        # The worker's first process waits for nothing when the Pod ends.
        if not self.leaving:
            await self._hand_over.taken(goes_on=not self.over)
        self.running = ""

    async def _result(self, process: AttemptProcess) -> AttemptResult:
        """A wrapper that left no trace must not be waited for: the worker knows when an attempt has ended."""
        result = asyncio.ensure_future(process.result())
        ended = asyncio.ensure_future(self._hand_over.attempt_ended())
        try:
            await asyncio.wait((result, ended), return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                process.wrapper_has_ended()
            return await result
        finally:
            ended.cancel()

    def _waits(self) -> bool:
        return self._next is not None and not self._next.done()
