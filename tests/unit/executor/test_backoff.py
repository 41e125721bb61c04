"""Retries with backoff: which calls are retried, and until when."""

from __future__ import annotations

import asyncio

import pytest
from penstock_executor import backoff
from penstock_executor.backoff import is_transient, retried
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError


class Call:
    """Raises what it is given, one after the other, then gives 7."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.made = 0

    async def __call__(self) -> int:
        self.made += 1
        if self._errors:
            raise self._errors.pop(0)
        return 7


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited, without waiting."""
    waited: list[float] = []
    whole = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await whole(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


AWAY, REFUSED = ServerUnavailableError("away"), ServerRejectedError("refused")


async def test_what_is_transient_is_tried_again(pauses: list[float]) -> None:
    call, heard = Call(AWAY, AWAY), list[BaseException]()
    assert await retried(call, failed=heard.append) == 7
    assert (call.made, heard) == (3, [AWAY, AWAY])
    assert [0.05 <= pauses[0] <= 0.1, 0.1 <= pauses[1] <= 0.2] == [True, True]


async def test_what_lasts_is_raised_as_it_was() -> None:
    call = Call(AWAY, REFUSED, AWAY)
    with pytest.raises(ServerRejectedError) as raised:
        await retried(call)
    assert raised.value is REFUSED
    assert call.made == 2
    assert not is_transient(REFUSED)
    assert not is_transient(ValueError())


async def test_the_last_of_so_many_tries_is_raised_and_not_told() -> None:
    call, heard = Call(AWAY, AWAY, AWAY), list[BaseException]()
    with pytest.raises(ServerUnavailableError):
        await retried(call, tries=2, failed=heard.append)
    assert (call.made, len(heard)) == (2, 1)


async def test_time_ends_the_tries() -> None:
    async def away() -> int:
        raise AWAY

    with pytest.raises(ServerUnavailableError):
        await retried(away, seconds=0.05)


async def test_whoever_hears_of_a_failure_may_give_up() -> None:
    def failed(error: BaseException) -> None:
        raise KeyError("nobody wants it any more")

    call = Call(AWAY)
    with pytest.raises(KeyError):
        await retried(call, failed=failed)
    assert call.made == 1


async def test_what_is_tried_again_may_be_chosen() -> None:
    call = Call(REFUSED, REFUSED)
    assert await retried(call, if_=lambda error: error is REFUSED) == 7


async def test_the_pauses_may_be_the_callers_own(pauses: list[float]) -> None:
    assert await retried(Call(AWAY, AWAY), pauses=iter([0.25, 7.0, 9.0])) == 7
    assert pauses == [0.25, 7.0]


def test_pauses_grow_up_to_a_bound() -> None:
    pauses = backoff.delays(1.0, 4.0)
    assert [next(pauses) <= bound for bound in (1, 2, 4, 4, 4)] == [True] * 5


async def test_the_first_try_counts(pauses: list[float]) -> None:
    """As a try, and its time as time; its error is what comes out when there is no other."""
    error = ServerUnavailableError("away")
    call, told = Call(error), list[BaseException]()
    with pytest.raises(ServerUnavailableError) as raised:
        await retried(call, tries=1, failed=told.append)
    assert (call.made, raised.value, told, pauses) == (1, error, [], [])
    call = Call(error, error)
    assert await retried(call, tries=3, failed=told.append) == 7
    assert (call.made, told) == (3, [error, error])
