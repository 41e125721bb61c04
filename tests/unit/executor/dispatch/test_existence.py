"""Whether a cached result is used, depending on the store's answers about its artifacts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from penstock_executor.backends.base import BackendUnavailableError
from penstock_executor.dispatch.existence import ExistenceChecks
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import CachedResult, Outputs
from penstock_store.base import ArtifactStoreError, NoStoreError


class Store:
    """`answer(uri)` is what it says of a URI."""

    def __init__(self, answer: Callable[[str], Awaitable[bool]]) -> None:
        self.asked: list[str] = []
        self.most = self._now = 0
        self._answer = answer

    async def exists(self, uri: str) -> bool:
        self.asked.append(uri)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._answer(uri)
        finally:
            self._now -= 1


def raising(error: Exception) -> Store:
    async def answer(uri: str) -> bool:
        raise error

    return Store(answer)


def result(*uris: str, absent: bool = False) -> CachedResult:
    artifacts = tuple(Artifact(uri, "system.Model", uri, absent=absent) for uri in uris)
    return CachedResult(Outputs(artifacts={"model": artifacts}), "made", "only")


def checks(store: Any, **settings: Any) -> ExistenceChecks:
    async def store_of(namespace: str) -> Any:
        return store

    return ExistenceChecks(store_of, **settings)


async def why(checks: ExistenceChecks, *uris: str, absent: bool = False) -> str:
    return await checks.why_unusable("", result(*uris, absent=absent))


OWN, NAMED = "s3://b/root/pipeline/made/only/1/model", "s3://elsewhere/model"


async def test_what_exists_counts_and_what_is_gone_does_not() -> None:
    async def answer(uri: str) -> bool:
        return uri != NAMED

    assert await why(checks(Store(answer)), OWN) == ""
    assert await why(checks(Store(answer)), OWN, NAMED) == f"the artifact {NAMED} of run made is gone"
    nothing = Store(answer)
    assert await why(checks(nothing), NAMED, absent=True) == ""
    assert nothing.asked == []


@pytest.mark.parametrize("uri", [OWN, NAMED])
async def test_a_store_that_fails_to_answer_makes_no_hit(uri: str) -> None:
    found = await why(checks(raising(ArtifactStoreError("it refuses: 503", transient=True))), uri)
    assert found == f"it is not known whether the artifact {uri} of run made still exists: it refuses: 503"


async def test_a_place_that_is_out_of_sight_is_the_tasks_word_but_not_our_own_root() -> None:
    denied = ArtifactStoreError("access denied")
    assert await why(checks(raising(denied)), NAMED) == ""
    assert "access denied" in await why(checks(raising(denied)), OWN)
    assert await why(checks(raising(NoStoreError("no store for it"))), OWN) == ""


async def test_a_namespace_that_cannot_be_asked_for_makes_no_hit() -> None:
    async def store_of(namespace: str) -> Any:
        raise BackendUnavailableError("the API server is away")

    assert "the API server is away" in await why(ExistenceChecks(store_of), OWN)


async def test_a_store_that_hangs_delays_nobody_for_long() -> None:
    """Three thousand results in it wait for one time-out, those elsewhere for none; later it is asked again."""
    now = 0.0
    never = asyncio.Event()

    async def answer(uri: str) -> bool:
        return uri.startswith("s3://healthy") or await never.wait()

    store = Store(answer)
    checking = checks(store, now=lambda: now, answer_seconds=0.05)
    hanging = [asyncio.create_task(checking.why_unusable("", result(f"s3://hangs/{number}"))) for number in range(3000)]
    await asyncio.sleep(0)
    assert await checking.why_unusable("", result("s3://healthy/1")) == ""
    assert not any(one.done() for one in hanging)
    found = await asyncio.wait_for(asyncio.gather(*hanging), 5)
    assert all("does not answer within 0.05 s" in one for one in found)
    assert len(store.asked) <= 17 and store.most <= 17
    asked = len(store.asked)
    assert await checking.why_unusable("", result("s3://hangs/again")) != ""
    assert len(store.asked) == asked
    now = 31.0
    never.set()
    assert await checking.why_unusable("", result("s3://hangs/again")) == ""


async def test_places_that_were_looked_at_are_not_kept_for_ever() -> None:
    async def answer(uri: str) -> bool:
        return True

    checking = checks(Store(answer))

    for number in range(1500):
        assert await checking.why_unusable(f"namespace-{number}", result(OWN)) == ""
    assert len(checking._places) <= 1000
