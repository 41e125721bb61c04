"""Slots of pools to attempts that are to begin (`TakeSlots`), and back when they have ended.

Invariants: slots are taken in one transaction that holds all pools, before anything of the attempt is begun, and given
back in the transaction that commits its end, or that of its run. What waits is kept, so the order holds whoever asks
and however often; it is in line while the lease of its run lasts. An attempt that has ended, or is not the task's
current one, gets nothing, however late a call about it is carried out: the row of a task may come after the event that
ends its attempt, so what was committed since the call was made is read from the log. Neither does who of its gang is
asked for with it. Rows of runs are held before those of pools, by everybody, so nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from penstock_ir.event_log import AttemptEnded, decode_known
from penstock_ir.ranks import rank
from penstock_ir.slots import MAX_POOLS, MAX_SLOTS, POOL_NAME
from penstock_ir.task_rows import TaskPhase

from penstock_server.domain.dispatch import LeaseRow, SlotAnswer, SlotAsk, SlotState
from penstock_server.domain.pools import (
    AttemptId,
    Levels,
    PoolKey,
    SlotRequest,
    grants,
    lines_of,
    pools_of,
    reason,
    refusal,
    together,
)
from penstock_server.domain.run import Run
from penstock_server.domain.task import task_id_of
from penstock_server.errors import InvalidArgumentError
from penstock_server.services.kept import Kept
from penstock_server.services.ports import Storage, UnitOfWork

MAX_ASKED = 1000
_LIMITED_SECONDS = 2.0
_LATE_EVENTS = 1000
"""A call about a run that has committed more since it was made is to be made again."""
_FENCED = SlotAnswer(SlotState.FENCED)
_GRANTED = SlotAnswer(SlotState.GRANTED)
_UNKNOWN = SlotAnswer(SlotState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class EndedAttempts:
    """Paths and numbers of attempts of a run whose end is committed. `over`: the run has left the queue."""

    run_id: str
    attempts: Sequence[tuple[str, int]]
    over: bool


def give_back(uow: UnitOfWork, ended: Sequence[EndedAttempts]) -> None:
    """Frees what they hold, in the transaction that commits their ends."""
    uow.pools.give_back([_id(run.run_id, path, attempt) for run in ended for path, attempt in run.attempts])
    uow.pools.give_back_all([run.run_id for run in ended if run.over])


class SlotService:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._limited: Kept[str, bool] = Kept(1, _LIMITED_SECONDS)

    def limited(self) -> bool:
        """Whether a namespace or a user has a limit, as of two seconds ago at most."""
        known = self._limited.get("")
        if known is None:
            with self._storage.reading() as uow:
                known = uow.pools.any_limit()
            self._limited.put("", known)
        return known

    def take(self, owner: str, asked: Sequence[SlotAsk], *, why: bool = False) -> list[SlotAnswer]:
        """An answer for each, in order; `why` they wait only if it is asked for.

        Raises InvalidArgumentError for what no executor asks.
        """
        _check(asked)
        with self._storage.writing() as uow:
            leases = uow.queue.leases(sorted({one.run_id for one in asked}))
            held = {
                AttemptId(one.run_id, task_id_of(one.run_id, one.path), one.attempt): one
                for one in asked
                if _is_held(one, leases.get(one.run_id), owner)
            }
            run_ids = sorted({key.run_id for key in held})
            levels, known = uow.pools.levels(), dict(uow.pools.granted(run_ids))
            fresh = {key: one for key, one in held.items() if key not in known}
            over = _ended_since(uow, fresh, leases)
            answers = _begin(uow, levels, fresh, over)
            uow.queue.take_slots([run_id for run_id in run_ids if not leases[run_id].takes_slots])
            waiting = together(uow.pools.waiting())
            granted = [key for one in grants(levels, waiting) for key in one.members]
            uow.pools.grant(granted)
        known.update(dict.fromkeys(granted, True))
        still = [one for one in waiting if not known.get(one.attempt)]
        left = {key: one for one in still for key in one.members}
        lines = lines_of(still) if why else {}
        for key in held.keys() - answers.keys():
            answers[key] = _answer(known.get(key), left.get(key), levels, lines)
        by_ask = {id(one): answers[key] for key, one in held.items()}
        return [by_ask.get(id(one), _FENCED) for one in asked]


def _begin(
    uow: UnitOfWork, levels: Levels, fresh: Mapping[AttemptId, SlotAsk], over: Set[AttemptId]
) -> dict[AttemptId, SlotAnswer]:
    """Puts those in line that ask for the first time; answers those that need not wait, never get what they want, or
    are `over`."""
    if not fresh:
        return {}
    runs = uow.runs.get_many(sorted({key.run_id for key in fresh}))
    current = _current(uow, fresh) - over
    now = uow.pools.now()
    requests = {
        key: _request(one, key, runs[one.run_id], levels, position, now)
        for position, (key, one) in enumerate(fresh.items())
    }
    # What is said of a gang is said of each of its members.
    whole = {key: one for one in together(requests.values()) for key in one.members}
    unknown = {whole[key].attempt for key in fresh if key not in current}
    answers: dict[AttemptId, SlotAnswer] = {}
    new: list[SlotRequest] = []
    adopted: list[SlotRequest] = []
    for key, one in fresh.items():
        request = requests[key]
        if whole[key].attempt in unknown:
            answers[key] = _UNKNOWN
            continue
        text = refusal(whole[key].demands, levels, len(whole[key].members))
        if text:
            answers[key] = SlotAnswer(SlotState.REFUSED, text)
        elif not request.demands:
            answers[key] = _GRANTED
        elif one.adopt and not one.demands:
            # It may have begun before its namespace or user had a limit: it counts, above the limit too.
            answers[key] = _GRANTED
            levels.take(request)
            adopted.append(request)
        else:
            new.append(request)
    uow.pools.ask(new, now)
    uow.pools.ask(adopted, now, granted=True)
    return answers


def _request(one: SlotAsk, key: AttemptId, run: Run, levels: Levels, position: int, now: int) -> SlotRequest:
    demands = pools_of(one.demands, run.namespace, run.created_by, levels.pools)
    gang = task_id_of(one.run_id, one.gang) if one.gang else ""
    return SlotRequest(rank(now, run.options.priority), position, key, run.namespace, tuple(demands), gang)


def _current(uow: UnitOfWork, asked: Iterable[AttemptId]) -> set[AttemptId]:
    """Those that are their tasks' current attempts and have not ended."""
    by_run: dict[str, list[str]] = {}
    for key in asked:
        by_run.setdefault(key.run_id, []).append(key.task_id)
    return {
        AttemptId(run_id, task.task_id, task.attempt)
        for run_id, task_ids in by_run.items()
        for task in uow.tasks.get_many(run_id, task_ids)
        if task.phase in (TaskPhase.LAUNCHED, TaskPhase.CANCELING)
    }


def _ended_since(uow: UnitOfWork, asked: Mapping[AttemptId, SlotAsk], leases: Mapping[str, LeaseRow]) -> set[AttemptId]:
    """Those whose end was committed after they were asked for, or may have been."""
    starts: dict[str, int] = {}
    for one in asked.values():
        # An executor of the release before does not tell: there the rows of tasks alone say it.
        if one.log_length and one.log_length < leases[one.run_id].next_sequence:
            starts[one.run_id] = min(one.log_length, starts.get(one.run_id, one.log_length))
    far = {run_id for run_id, start in starts.items() if leases[run_id].next_sequence - start > _LATE_EVENTS}
    logs = uow.queue.events_since({run_id: start for run_id, start in starts.items() if run_id not in far})
    ended = {
        _id(run_id, event.path, event.attempt)
        for run_id, lines in logs.items()
        for line in lines
        if isinstance(event := decode_known(line), AttemptEnded)
    }
    return {key for key in asked if key in ended or key.run_id in far}


def _answer(
    granted: bool | None,
    request: SlotRequest | None,
    levels: Levels,
    lines: Mapping[PoolKey, Sequence[SlotRequest]],
) -> SlotAnswer:
    """`lines` are empty where nobody asks why."""
    if granted:
        return _GRANTED
    if request is None:
        return _UNKNOWN
    text = refusal(request.demands, levels, len(request.members))
    if text:
        return SlotAnswer(SlotState.REFUSED, text)
    return SlotAnswer(SlotState.WAITING, reason(request, levels, lines) if lines else "")


def _is_held(one: SlotAsk, lease: LeaseRow | None, owner: str) -> bool:
    return lease is not None and not lease.finished and lease.fence == one.fence and lease.owner == owner


def _id(run_id: str, path: str, attempt: int) -> AttemptId:
    return AttemptId(run_id, task_id_of(run_id, path), attempt)


def _check(asked: Sequence[SlotAsk]) -> None:
    if len(asked) > MAX_ASKED:
        raise InvalidArgumentError(f"{len(asked)} attempts are more than {MAX_ASKED}", "attempts")
    for one in asked:
        if one.attempt < 1:
            raise InvalidArgumentError(f"{one.attempt} is not from 1", "attempts.attempt")
        if one.log_length < 0:
            raise InvalidArgumentError(f"{one.log_length} is less than 0", "attempts.log_length")
        names = [demand.pool for demand in one.demands]
        if len(names) > MAX_POOLS + 1 or len(set(names)) < len(names):
            raise InvalidArgumentError("too many demands, or several of one pool", "attempts.demands")
        if not all(POOL_NAME.fullmatch(demand.pool) for demand in one.demands):
            raise InvalidArgumentError("it is no name of a pool", "attempts.demands.pool")
        if not all(1 <= demand.slots <= MAX_SLOTS for demand in one.demands):
            raise InvalidArgumentError(f"slots are from 1 to {MAX_SLOTS}", "attempts.demands.slots")
