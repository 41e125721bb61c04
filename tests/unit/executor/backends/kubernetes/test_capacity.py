"""Limits on the number of Pods at a time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.kubernetes.capacity import Bounds, Capacity, never_fits, quota_text
from penstock_executor.backends.kubernetes.view import PodView, view_of

REFUSAL = 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5'


def key(name: str) -> AttemptKey:
    return AttemptKey("r", name, 1)


def pod(name: str, phase: str = "Running", namespace: str = "n") -> PodView:
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"pipeline/runid": "r"},
        "annotations": {"penstock.dev/path": name, "penstock.dev/attempt": "1"},
    }
    return view_of({"metadata": metadata, "status": {"phase": phase}})


def test_a_place_is_a_pods_until_it_ends() -> None:
    capacity = Capacity(Bounds(2))
    assert capacity.reserve(key("a"), "n") == ""
    assert capacity.reserve(key("a"), "n") == "", "the same place"
    # What another executor or a predecessor made counts, too.
    capacity.pod_seen(pod("b", "Pending"))
    full = "no place is free: 2 of 2 Pods run (--parallelism)"
    assert capacity.reserve(key("c"), "n") == full
    capacity.pod_seen(pod("b", "Succeeded"))
    capacity.pod_gone(pod("b"))
    assert capacity.reserve(key("c"), "n") == ""
    assert capacity.reserve(key("d"), "n") == full


def test_a_place_for_which_no_pod_was_made_is_free_again() -> None:
    capacity = Capacity(Bounds(1))
    capacity.reserve(key("a"), "n")
    capacity.cancel(key("a"))
    assert capacity.reserve(key("b"), "n") == ""
    capacity.pod_seen(pod("b"))
    capacity.cancel(key("b"))
    assert capacity.reserve(key("c"), "n") != "", "there is a Pod in it"


def test_a_namespace_has_a_bound_of_its_own() -> None:
    capacity = Capacity(Bounds(0, 1))
    assert capacity.reserve(key("a"), "n") == ""
    assert capacity.reserve(key("b"), "n") == "no place is free: 1 of 1 Pods run in n (--namespace-parallelism)"
    assert capacity.reserve(key("b"), "m") == ""


def test_a_namespace_that_refused_is_asked_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: list[float] = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    capacity = Capacity(Bounds())
    text = capacity.quota_exceeded("n", REFUSAL)
    assert text == "the namespace's quota 'q': the Pod asks for pods=1, pods=5 of pods=5 is used"
    assert capacity.reserve(key("a"), "n") == text
    assert capacity.reserve(key("a"), "other") == ""
    clock[0] += 1.1
    assert capacity.reserve(key("b"), "n") == "", "one may try"
    assert capacity.reserve(key("c"), "n") == text
    capacity.quota_exceeded("n", REFUSAL)
    clock[0] += 1.1
    assert capacity.reserve(key("c"), "n") == text, "the pauses grow"
    capacity.pod_gone(pod("x"))
    assert capacity.reserve(key("c"), "n") == "", "a Pod gave back its part"
    capacity.pod_created("n")
    assert capacity.reserve(key("d"), "n") == ""


@pytest.mark.parametrize("message", [REFUSAL, "exceeded quota: in words of another version"])
def test_the_words_of_a_quota(message: str) -> Any:
    assert quota_text(message).startswith("the namespace's quota")


@pytest.mark.parametrize(
    ("asked", "used", "limited", "words"),
    [
        ("limits.memory=8Gi,pods=1", "limits.memory=0,pods=5", "limits.memory=4Gi,pods=5", "limits.memory=4Gi in all"),
        ("requests.cpu=4500m", "requests.cpu=0", "requests.cpu=4", "requests.cpu=4 in all, and the Pod asks for 4500m"),
        ("requests.nvidia.com/gpu=1", "requests.nvidia.com/gpu=0", "requests.nvidia.com/gpu=0", "gpu=0 in all"),
        ("requests.cpu=4", "requests.cpu=1", "requests.cpu=4000m", ""),
        ("pods=1", "pods=5", "pods=5", ""),
        ("odd=one", "odd=none", "odd=none", ""),
    ],
)
def test_what_would_fit_no_empty_namespace_is_told_apart(asked: str, used: str, limited: str, words: str) -> None:
    said = never_fits(f'pods "x" is forbidden: exceeded quota: q, requested: {asked}, used: {used}, limited: {limited}')
    assert words in said and bool(words) == bool(said)


def test_how_many_places_a_namespace_may_have_at_most() -> None:
    found = [Capacity(bounds).most for bounds in (Bounds(8, 3), Bounds(8), Bounds(0, 3), Bounds(0))]
    assert found == [3, 8, 3, 0]
