"""What is said of a request for slots that waits."""

from __future__ import annotations

from penstock_server.domain.pools import AttemptId, Levels, Pool, PoolDemand, PoolKey, SlotRequest, lines_of, reason

GPU, LIMIT = PoolKey("team", "gpu"), PoolKey("", "namespace/team")


def request(number: int, *demands: PoolDemand) -> SlotRequest:
    return SlotRequest(number, 0, AttemptId("run", f"task-{number}", 1), "team", tuple(sorted(demands)))


def test_a_limit_that_was_taken_away_is_no_reason() -> None:
    """The one behind waits for its turn in the pool, whose slots would be enough for it alone."""
    levels = Levels({GPU: Pool(GPU, 3)}, {GPU: {"team": 2}})
    first = request(1, PoolDemand(GPU, 2))
    behind = request(2, PoolDemand(LIMIT, 1), PoolDemand(GPU, 1))
    said = reason(behind, levels, lines_of([first, behind]))
    assert said == (
        "waits for 1 of 3 slots of the pool gpu of namespace team: 2 are taken, 1 tasks wait before this one"
    )
