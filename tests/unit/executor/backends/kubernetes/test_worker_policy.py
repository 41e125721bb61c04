"""What a namespace says of warm workers: read from its ConfigMap, and never exceeded."""

from __future__ import annotations

import pytest
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.policy import parse_policy
from penstock_executor.backends.kubernetes.worker_policy import NO_WORKERS, WorkerPolicy, isolation
from penstock_ir.worker_sharing import AskedSharing, Sharing


def test_what_is_given() -> None:
    data = {
        "workers": "namespace\n",
        "workersDefault": " run",
        "workersMax": "1000",
        "workersMin": "1000",
        "workersIdleSeconds": "86400",
    }
    assert parse_policy(data).workers == WorkerPolicy("namespace", "run", 1000, 1000, 86_400)
    assert parse_policy({"workers": "run"}).workers == WorkerPolicy("run", "off", 10, 0, 60)
    assert parse_policy({}).workers == parse_policy(None).workers == NO_WORKERS == WorkerPolicy("off", "off", 10, 0, 60)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"workers": "on"}, "workers is 'on', but has to be off, run or namespace"),
        ({"workers": ""}, "workers is ''"),
        ({"workers": "Run"}, "workers is 'Run'"),
        ({"workers": "run", "workersDefault": "true"}, "workersDefault is 'true', but has to be off, run or namespace"),
        ({"workersDefault": "run"}, "workersDefault is 'run', which is more than 'off', what 'workers' allows"),
        ({"workers": "run", "workersDefault": "namespace"}, "workersDefault is 'namespace', which is more than 'run'"),
        ({"workersMax": "0"}, "workersMax is '0', but has to be a whole number from 1 to 1000"),
        ({"workersMax": "1001"}, "workersMax is '1001'"),
        ({"workersMax": "٣"}, "workersMax is '٣'"),
        ({"workersMax": "1.5"}, "workersMax is '1.5'"),
        ({"workersMax": "9" * 5000}, "workersMax is '999"),
        ({"workersMin": "11"}, "workersMin is '11', but has to be a whole number from 0 to 10"),
        ({"workersMax": "3", "workersMin": "4"}, "workersMin is '4', but has to be a whole number from 0 to 3"),
        ({"workersMin": "-1"}, "workersMin is '-1'"),
        ({"workersIdleSeconds": "0"}, "workersIdleSeconds is '0', but has to be a whole number from 1 to 86400"),
        ({"workersIdleSeconds": "86401"}, "workersIdleSeconds is '86401'"),
        ({"workersMaximum": "3"}, "unknown key 'workersMaximum'"),
    ],
)
def test_what_is_refused_names_its_key(data: dict[str, str], words: str) -> None:
    with pytest.raises(PodSpecError) as caught:
        parse_policy(data)
    assert words in str(caught.value) and "ConfigMap 'penstock'" in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("asked", "default", "allowed", "found"),
    [
        ("", "off", "off", "off"),
        ("", "off", "namespace", "off"),
        ("", "run", "namespace", "run"),
        ("", "namespace", "namespace", "namespace"),
        ("off", "run", "run", "off"),
        ("off", "namespace", "namespace", "off"),
        ("run", "off", "off", "off"),
        ("run", "off", "run", "run"),
        ("run", "namespace", "namespace", "run"),
        ("namespace", "off", "off", "off"),
        ("namespace", "off", "run", "run"),
        ("namespace", "off", "namespace", "namespace"),
    ],
)
def test_a_task_shares_what_it_asks_for_and_no_more_than_is_allowed(
    asked: AskedSharing, default: Sharing, allowed: Sharing, found: Sharing
) -> None:
    assert isolation(asked, WorkerPolicy(allowed=allowed, default=default)) == found
