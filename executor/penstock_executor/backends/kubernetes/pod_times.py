"""When an attempt came to its phases, from its Pod's status and its agent's result (docs/attempts.md).

Invariants: pure; the same Pod gives the same to whoever reads it, so an executor that takes an attempt over tells what
its predecessor would have. Nothing is told that cannot be true. The cluster's times have whole seconds, those of agent
and wrapper milliseconds.
"""

from __future__ import annotations

from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.attempts import AttemptTimes
from penstock_executor.backends.kubernetes.agent_container import FETCH, NAME
from penstock_executor.backends.kubernetes.verdict import NEVER_RAN
from penstock_executor.backends.kubernetes.view import ContainerView, PodView
from penstock_executor.backends.observed_times import believable


def pod_times(
    view: PodView, now: int, result: AttemptResult | None = None, *, started: int, finished: int = 0
) -> AttemptTimes:
    """`started` and `finished` are the program's, 0 when that has not happened."""

    def told(what: str, at: int) -> int:
        return believable(f"{view.name}: {what}", at, view.created_at, now, instead=0)

    fetched = told("the arrival of its inputs", result.fetched_at if result is not None else 0)
    main, agent, fetch = (view.container(name) for name in ("main", NAME, FETCH))
    prepared = _began(main)
    if fetch is not None:
        # It brings the inputs before the program's container is made.
        prepared = _began(fetch)
        done = fetch.terminated
        fetched = told("the arrival of its inputs", done.finished_at if done and done.exit_code == 0 else 0)
    elif fetched:
        # The program waits for its agent, which may have begun after it, or be done before it.
        fetched = max(fetched, prepared)
        prepared = max(prepared, min(_began(agent), fetched))
    return AttemptTimes(
        placed=told("its creation", view.created_at),
        scheduled=told("its scheduling", view.scheduled_at),
        prepared=told("its container's start", prepared),
        fetched=fetched,
        started=started,
        finished=finished,
        stored=told("the end of its uploads", result.stored_at if result is not None else 0),
        node=view.node,
    )


def program_ran(view: PodView, result: AttemptResult | None, *, wrapped: bool) -> bool:
    """Whether the user's program began, as far as the Pod of an attempt that is over says."""
    exit_ = result.exit if result is not None else None
    if exit_ is not None:
        return exit_.ran
    if wrapped and result is not None and result.failure is not None:
        # Its inputs could not be had, or the Pod was ended before they were there.
        return False
    main = view.container("main")
    ended = main.terminated if main is not None else None
    return bool(view.started_at) and (ended is None or ended.reason not in NEVER_RAN)


def _began(container: ContainerView | None) -> int:
    return container.began_at if container is not None else 0
