"""A few hundred examples of each property in every test run; `make fuzz MINUTES=30` for more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tools.fuzz.properties import PROPERTIES


@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
def test_property(check: Any) -> None:
    bounded = settings(
        max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    bounded(check)()
