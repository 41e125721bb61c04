"""The lines of a run's event log: the bytes that every release writes and reads, and what a newer one may add."""

from __future__ import annotations

from typing import get_args

import pytest
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import (
    AttemptEnded,
    AttemptStarted,
    BackoffElapsed,
    CacheAnswered,
    CachedResult,
    DeadlineExceeded,
    Event,
    FailureCause,
    FailureKind,
    Outputs,
    RetryRequested,
    RunStarted,
    TerminateRequested,
    decode,
    decode_known,
    encode,
)

_FULL = Artifact("a1", "system.Model", "s3://b/k", {"n": 1, "ü": "é"}, "out", "0.0.2", "/x", True, True)
_PLAIN = Artifact("a2", "system.Dataset", "file:///d")
_FULL_JSON = (
    '{"name":"a1","type":"system.Model","uri":"s3://b/k","metadata":{"n":1,"ü":"é"},"displayName":"out",'
    '"schemaVersion":"0.0.2","customPath":"/x","workspace":true,"absent":true}'
)
# Written by the release before this module was shared by both programs. They are in databases: none may change.
GOLDEN: list[tuple[Event, str]] = [
    (RunStarted(1, "s3://bucket/root"), '{"type":"RunStarted","at":1,"root":"s3://bucket/root"}'),
    (RunStarted(0), '{"type":"RunStarted","at":0}'),
    (
        CacheAnswered("loop[0]/train", "f00d", 2),
        '{"type":"CacheAnswered","path":"loop[0]/train","fingerprint":"f00d","at":2}',
    ),
    (
        CacheAnswered("train", "f00d", 2, reason="too old"),
        '{"type":"CacheAnswered","path":"train","fingerprint":"f00d","at":2,"reason":"too old"}',
    ),
    (
        CacheAnswered("train", "f00d", 2, CachedResult(Outputs({"x": [1, None]}, {"out": (_FULL,)}), "run-1", "t", 7)),
        '{"type":"CacheAnswered","path":"train","fingerprint":"f00d","at":2,"hit":{"outputs":{"parameters":'
        '{"x":[1,null]},"artifacts":{"out":[' + _FULL_JSON + ']}},"runId":"run-1","path":"t","executionId":7}}',
    ),
    (AttemptStarted("train", 1, 3), '{"type":"AttemptStarted","path":"train","attempt":1,"at":3}'),
    (
        AttemptStarted("train", 1, 3, "s3://b/log", "pod-1"),
        '{"type":"AttemptStarted","path":"train","attempt":1,"at":3,"log_uri":"s3://b/log","pod_name":"pod-1"}',
    ),
    (AttemptEnded("train", 1, 5), '{"type":"AttemptEnded","path":"train","attempt":1,"at":5}'),
    (
        AttemptEnded("train", 1, 5, 3, FailureKind.USER, 0, "boom\n", log_uri="s3://b/log", pod_name="pod-1"),
        '{"type":"AttemptEnded","path":"train","attempt":1,"at":5,"started_at":3,"failure":"user","exit_code":0,'
        '"error":"boom\\n","log_uri":"s3://b/log","pod_name":"pod-1"}',
    ),
    (
        AttemptEnded("tràin", 2, 5, 3, outputs=Outputs({"p": None}, {"out": (_PLAIN,), "none": ()})),
        '{"type":"AttemptEnded","path":"tràin","attempt":2,"at":5,"started_at":3,"outputs":{"parameters":{"p":null},'
        '"artifacts":{"out":[{"name":"a2","type":"system.Dataset","uri":"file:///d"}],"none":[]}}}',
    ),
    *(
        (
            AttemptEnded("t", 0, 0, failure=kind, exit_code=137),
            f'{{"type":"AttemptEnded","path":"t","attempt":0,"at":0,"failure":"{word}","exit_code":137}}',
        )
        for kind, word in zip(FailureKind, ("user", "infrastructure", "canceled", "configuration"), strict=True)
    ),
    *(
        (
            AttemptEnded("t", 1, 2, failure=FailureKind.USER, cause=cause),
            f'{{"type":"AttemptEnded","path":"t","attempt":1,"at":2,"failure":"user","cause":"{word}"}}',
        )
        for cause, word in zip(FailureCause, ("preempted", "out of memory"), strict=True)
    ),
    (BackoffElapsed("train", 2, 9), '{"type":"BackoffElapsed","path":"train","attempt":2,"at":9}'),
    (TerminateRequested(10), '{"type":"TerminateRequested","at":10}'),
    (DeadlineExceeded(11), '{"type":"DeadlineExceeded","at":11}'),
    (RetryRequested(12), '{"type":"RetryRequested","at":12}'),
]
OF_A_NEWER_RELEASE = [
    b'{"type":"AttemptPaused","path":"train","at":1}',
    b'{"type":"AttemptEnded","path":"train","attempt":1,"at":5,"failure":"preempted"}',
    b'{"type":"AttemptEnded","path":"train"}',
    b'{"type":["AttemptEnded"],"path":"train"}',
    b'["AttemptEnded","train"]',
    b'{"type":"CacheAnswered","path":"t","fingerprint":"f","at":1,"hit":{"result":"elsewhere"}}',
]


def test_every_event_has_a_golden_line() -> None:
    assert {type(event) for event, _ in GOLDEN} == set(get_args(Event))


@pytest.mark.parametrize(("event", "line"), GOLDEN)
def test_lines_stay_what_they_are(event: Event, line: str) -> None:
    assert encode(event) == line.encode()
    assert decode(line.encode()) == event
    assert decode_known(line.encode()) == event


@pytest.mark.parametrize("line", OF_A_NEWER_RELEASE)
def test_what_is_not_known_is_refused_by_the_engine_and_passed_over_by_readers(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)
    assert decode_known(line) is None


def test_a_field_of_a_newer_release_is_refused_by_the_engine_and_left_out_by_readers() -> None:
    line = b'{"type":"AttemptStarted","path":"train","attempt":1,"at":3,"node":"n1"}'
    with pytest.raises(ValueError, match="node"):
        decode(line)
    assert decode_known(line) == AttemptStarted("train", 1, 3)
