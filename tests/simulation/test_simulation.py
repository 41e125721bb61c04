"""A few hundred seeds in every test run; `make simulate SEEDS=…` for more."""

from __future__ import annotations

import pytest

from tools.simulate.runner import check

BLOCK = 50


@pytest.mark.parametrize("first", range(0, 300, BLOCK))
def test_seeds(first: int) -> None:
    for seed in range(first, first + BLOCK):
        try:
            check(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}; again with: make simulate FIRST={seed} SEEDS=1") from error
