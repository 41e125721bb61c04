"""The rights of one attempt, as a session policy says them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from penstock_store.base import ArtifactStoreError
from penstock_store.session_policy import MAX_POLICY, Rights, session_policies

_ROLE = "arn:aws:iam::123456789012:role/tasks"
_ROOT = "s3://bucket/root"
_RUN = f"{_ROOT}/pipeline/4d3a1f0e-0000-4000-8000-000000000001"
_OWN = f"{_RUN}/train/11111111-0000-4000-8000-000000000001"


def policies(*reads: str, writes: tuple[str, ...] = (_OWN,), role: str = _ROLE) -> list[dict[str, Any]]:
    made = session_policies(Rights(reads, writes, _ROOT), role)
    assert all(len(policy) <= MAX_POLICY for policy in made)
    return [json.loads(policy) for policy in made]


def arn(uri: str) -> str:
    return f"arn:aws:s3:::{uri.removeprefix('s3://')}"


def readable(policy: dict[str, Any]) -> list[str]:
    return sorted(policy["Statement"][0]["Resource"])


def output(task: str, number: int = 0, port: str = "model") -> str:
    return f"{_RUN}/{task}/22222222-0000-4000-8000-{number:012}/{port}"


def test_exactly_what_is_given_and_its_own_place() -> None:
    given, imported = output("prepare"), "s3://other/data/set"
    first = policies(given, imported)[0]
    own = arn(_OWN) + "/*"
    prefixes = {
        "bucket": [f"{one.removeprefix('s3://bucket/')}/*" for one in (given, _OWN)],
        "other": ["data/set/*"],
    }
    assert first == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": [arn(given), arn(given) + "/*", own, arn(imported), arn(imported) + "/*"],
            },
            {"Effect": "Allow", "Action": ["s3:PutObject", "s3:AbortMultipartUpload"], "Resource": [own]},
            *(
                {
                    "Effect": "Allow",
                    "Action": "s3:ListBucket",
                    "Resource": f"arn:aws:s3:::{bucket}",
                    "Condition": {"StringLike": {"s3:prefix": found}},
                }
                for bucket, found in prefixes.items()
            ),
        ],
    }


def test_what_only_begins_alike_is_not_meant() -> None:
    patterns = [re.escape(one).replace(r"\*", ".*") for one in readable(policies(f"{_RUN}/a/b/model")[0])]
    assert not any(re.fullmatch(one, arn(f"{_RUN}/a/b/model-2")) for one in patterns)
    assert any(re.fullmatch(one, arn(f"{_RUN}/a/b/model/weights")) for one in patterns)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([output("prepare", port=f"port-{number}") for number in range(20)], output("prepare").rsplit("/", 1)[0]),
        ([output("prepare", number) for number in range(20)], f"{_RUN}/prepare"),
        ([output(f"prepare-{number}") for number in range(20)], _RUN),
    ],
)
def test_many_inputs_become_the_directory_of_an_attempt_a_task_or_a_run(given: list[str], kept: str) -> None:
    first = policies(*given)[0]
    assert arn(kept) + "/*" in readable(first)
    assert all(one.startswith(arn(_RUN) + "/") for one in readable(first)), "never above the run"
    assert policies(*reversed(given))[0] == first


def test_cached_results_of_many_runs_stay_apart() -> None:
    runs = [f"{_ROOT}/pipeline/3333333{number}-0000-4000-8000-000000000001" for number in range(5)]
    given = [f"{run}/prepare-{number}/x/model" for run in runs for number in range(20)]
    covered = {one.removesuffix("/*") for one in readable(policies(*given)[0])}
    assert {arn(run) for run in runs} <= covered


def test_what_lies_outside_of_the_root_is_never_made_shorter() -> None:
    with pytest.raises(ArtifactStoreError, match="20 inputs at places so different"):
        policies(*(f"s3://models/a/b/c/d/e/{number}/{'x' * 80}" for number in range(20)))


def test_a_narrower_policy_comes_first() -> None:
    exact, *further = policies(output("a"), output("b", 1))
    assert arn(output("a")) in readable(exact)
    assert [len(readable(one)) for one in further] == sorted((len(readable(one)) for one in further), reverse=True)
    assert readable(further[-1]) == [arn(_RUN) + "/*"]


@pytest.mark.parametrize("uri", ["s3://bucket/*", "s3://bucket/a?", "s3://bucket/${aws:username}", "s3://buc*/a"])
def test_a_key_is_no_pattern(uri: str) -> None:
    with pytest.raises(ArtifactStoreError, match="no right to a place with"):
        policies(uri)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "s3://bucket//"])
def test_no_whole_bucket(uri: str) -> None:
    with pytest.raises(ArtifactStoreError, match="no right to a whole bucket"):
        policies(uri)


def test_places_without_writes_and_another_partition() -> None:
    (policy, *_) = policies("s3://bucket/x", writes=(), role="arn:aws-cn:iam::123456789012:role/tasks")
    assert [statement["Action"] for statement in policy["Statement"]] == ["s3:GetObject", "s3:ListBucket"]
    assert readable(policy) == ["arn:aws-cn:s3:::bucket/x", "arn:aws-cn:s3:::bucket/x/*"]


def test_ten_thousand_inputs_are_quick_and_bounded() -> None:
    given = [output(f"task-{number % 100}", number) for number in range(10_000)]
    assert readable(policies(*given)[0]) == [arn(_RUN) + "/*"]
