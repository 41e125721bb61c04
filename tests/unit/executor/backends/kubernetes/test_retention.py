"""How long an ended Pod stays."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.backends.kubernetes.retention import EndedPod, RetentionPolicy, seconds_kept
from penstock_executor.backends.kubernetes.view import view_of

SAYS = {"penstock.dev/ttl-succeeded": "60", "penstock.dev/ttl-failed": "3600"}


@pytest.mark.parametrize("policy", ["always", "success", "never", "10"])
@pytest.mark.parametrize(("succeeded", "seconds"), [(True, 60.0), (False, 3600.0)])
def test_a_pipelines_time_to_live_goes_before_every_policy(policy: str, succeeded: bool, seconds: float) -> None:
    assert kept(SAYS, succeeded, policy) == seconds


@pytest.mark.parametrize("annotations", [{}, {"penstock.dev/ttl-succeeded": "soon", "penstock.dev/ttl-failed": "-1"}])
@pytest.mark.parametrize(
    ("policy", "succeeded", "failed"),
    [("always", 0.0, 0.0), ("success", 0.0, None), ("never", None, None), ("10", 10.0, 10.0)],
)
def test_the_policy_holds_for_the_rest(
    annotations: dict[str, str], policy: str, succeeded: float | None, failed: float | None
) -> None:
    assert (kept(annotations, True, policy), kept(annotations, False, policy)) == (succeeded, failed)


def kept(annotations: dict[str, str], succeeded: bool, policy: str) -> Any:
    view = view_of({"metadata": {"annotations": annotations}, "status": {"phase": "Succeeded"}})
    return seconds_kept(EndedPod(view, succeeded), RetentionPolicy.parse(policy))
