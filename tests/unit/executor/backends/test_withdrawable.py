"""Preparation that is broken off when its attempt is canceled, and who hears of it."""

from __future__ import annotations

import asyncio

import pytest
from penstock_executor.backends.withdrawable import Withdrawable, WithdrawnError


class Work:
    """Work that never ends by itself."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.broken_off = False

    async def run(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.broken_off = True


async def test_what_runs_is_broken_off() -> None:
    preparation, work = Withdrawable(), Work()
    running = asyncio.ensure_future(preparation.run(work.run()))
    await work.begun.wait()
    preparation.withdraw()
    with pytest.raises(WithdrawnError):
        await running
    assert work.broken_off


async def test_what_is_run_later_does_not_begin() -> None:
    preparation, work = Withdrawable(), Work()
    preparation.withdraw()
    with pytest.raises(WithdrawnError):
        await preparation.run(work.run())
    assert not work.begun.is_set()


async def test_an_end_of_the_program_is_no_withdrawal() -> None:
    preparation, work = Withdrawable(), Work()
    running = asyncio.ensure_future(preparation.run(work.run()))
    await work.begun.wait()
    preparation.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert work.broken_off


async def test_who_is_cancelled_takes_the_work_along() -> None:
    preparation, work = Withdrawable(), Work()
    running = asyncio.ensure_future(preparation.run(work.run()))
    await work.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert work.broken_off


async def test_one_after_another() -> None:
    async def gives(value: int) -> int:
        return value

    preparation = Withdrawable()
    assert [await preparation.run(gives(1)), await preparation.run(gives(2))] == [1, 2]
