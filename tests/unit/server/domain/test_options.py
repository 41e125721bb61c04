"""What a run may ask for, and how it is stored so that a server of the release before reads it."""

from __future__ import annotations

import json

import pytest
from penstock_server.domain.options import NO_SETTINGS, RequestedOptions, RunOptions, resolve_options
from penstock_server.errors import InvalidArgumentError


@pytest.mark.parametrize("workers", ["", "off", "run", "namespace"])
def test_how_far_workers_are_shared_is_kept(workers: str) -> None:
    options = resolve_options(RequestedOptions(workers=workers), NO_SETTINGS)
    assert options.workers == workers
    assert RunOptions.from_text(options.to_text()) == options
    assert ("workers" in json.loads(options.to_text())) is bool(workers)


@pytest.mark.parametrize("workers", ["on", "RUN", "run ", "x" * 5000])
def test_another_word_is_refused_with_its_field(workers: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        resolve_options(RequestedOptions(workers=workers), NO_SETTINGS)
    assert caught.value.field == "run.options.workers"
    assert str(caught.value) == f"run.options.workers: it is {workers[:80]!r}, it must be off, run or namespace"
