"""Task environments whose installation fails: which failures are retried, how often, and after which pauses."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.backends.local import environments
from penstock_executor.backends.local.environments import EnvironmentFailedError, TaskEnvironments

INSTALLS = (("a-package",),)


class Failing:
    """In place of the programs that install: each fails with this text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.calls = 0

    async def __call__(self, *_arguments: Any, **_options: Any) -> tuple[int, str]:
        self.calls += 1
        return 1, self._text


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited, without waiting."""
    waited: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


async def test_a_failure_of_the_network_is_retried_with_growing_pauses(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing("error sending request for url")
    monkeypatch.setattr(environments, "output_of", failing)
    with pytest.raises(EnvironmentFailedError) as raised:
        await TaskEnvironments(tmp_path, sys.executable, {}).get(INSTALLS)
    assert raised.value.transient
    assert failing.calls == 3
    assert len(pauses) == 2
    assert 0.5 <= pauses[0] <= 1.5
    assert 1.0 <= pauses[1] <= 3.0


async def test_another_failure_is_not_retried(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing("no such package")
    monkeypatch.setattr(environments, "output_of", failing)
    with pytest.raises(EnvironmentFailedError):
        await TaskEnvironments(tmp_path, sys.executable, {}).get(INSTALLS)
    assert (failing.calls, pauses) == (1, [])
