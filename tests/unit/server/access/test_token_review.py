"""Whose a token is, asked of a cluster: what is accepted, for how long it is remembered, and a cluster that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from penstock_server.access import cluster, token_review
from penstock_server.access.token_review import CACHE_SECONDS, MAX_TOKEN, Reviewed, TokenReviews
from penstock_server.errors import UnavailableError

from tests.support.token_reviews import ReviewServer, review_server

USER = "system:serviceaccount:team-a:trainer"
IDENTITY = {"username": USER, "groups": ["system:authenticated"]}
KEY = "a secret of the test's own, long enough"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[ReviewServer]:
    with review_server() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reviews(server: ReviewServer, clock: Clock) -> Iterator[TokenReviews]:
    made = TokenReviews(server.cluster, ("ours", "theirs"), clock)
    yield made
    made.close()


def test_a_token_is_its_users(server: ReviewServer, reviews: TokenReviews) -> None:
    server.accept("good", USER, "system:authenticated", audiences=("ours", "theirs", "more"))
    assert reviews.review("good") == Reviewed(USER, ("system:authenticated",))
    assert server.asked == [{"token": "good", "audiences": ["ours", "theirs"]}]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "user": IDENTITY, "audiences": ["ours", "theirs"]},
        {"authenticated": "true", "user": IDENTITY, "audiences": ["ours", "theirs"]},
        {"authenticated": True, "user": IDENTITY, "audiences": ["ours"]},
        {"authenticated": True, "user": IDENTITY, "audiences": []},
        {"authenticated": True, "user": IDENTITY},
        {"authenticated": True, "user": IDENTITY, "audiences": "ours theirs"},
        {"authenticated": True, "user": {"username": ""}, "audiences": ["ours", "theirs"]},
        {"authenticated": True, "user": {"username": 7}, "audiences": ["ours", "theirs"]},
        {"authenticated": True, "audiences": ["ours", "theirs"]},
        {"authenticated": True, "user": USER, "audiences": ["ours", "theirs"]},
    ],
)
def test_anything_less_is_refused(server: ReviewServer, reviews: TokenReviews, status: dict[str, Any]) -> None:
    server.tokens["bad"] = status
    assert reviews.review("bad") is None
    assert len(server.asked) == 1


def test_the_cluster_is_not_asked_about_what_is_no_token(server: ReviewServer, reviews: TokenReviews) -> None:
    assert reviews.review("") is None and reviews.review("x" * (MAX_TOKEN + 1)) is None
    assert not server.asked


def test_an_accepted_token_is_remembered_for_seconds(server: ReviewServer, reviews: TokenReviews, clock: Clock) -> None:
    server.accept("good", USER, audiences=("ours", "theirs"))
    assert reviews.review("good")
    del server.tokens["good"]
    clock.now += CACHE_SECONDS - 0.5
    assert reviews.review("good")
    clock.now += 1
    assert reviews.review("good") is None


def test_a_refused_token_is_asked_about_again_after_seconds(
    server: ReviewServer, reviews: TokenReviews, clock: Clock
) -> None:
    for _ in range(3):
        assert reviews.review("soon") is None
    assert len(server.asked) == 1
    server.accept("soon", USER, audiences=("ours", "theirs"))
    clock.now += CACHE_SECONDS
    assert reviews.review("soon")


def test_wrong_tokens_do_not_drive_good_ones_out(
    server: ReviewServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_review, "_CACHE_SIZE", 2)
    reviews = TokenReviews(server.cluster, ("ours",), clock)
    server.accept("good", USER, audiences=("ours",))
    assert reviews.review("good")
    for number in range(5):
        assert reviews.review(f"wrong {number}") is None
    assert reviews.review("good") and len(server.asked) == 6
    reviews.close()


def test_few_calls_wait_for_a_cluster_that_hangs(server: ReviewServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECTIONS", 2)
    monkeypatch.setattr(cluster, "_PLACE_SECONDS", 0.05)
    reviews = TokenReviews(server.cluster, ("ours",))
    server.answering.clear()
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(reviews.review, f"token {number}") for number in range(2)]
        server.arrived.acquire()
        server.arrived.acquire()
        with pytest.raises(UnavailableError, match="too much"):
            reviews.review("one more")
        server.answering.set()
        assert [pending.result() for pending in waiting] == [None, None]
    assert reviews.review("one more") is None
    reviews.close()


def test_nothing_is_remembered_beyond_the_end_of_the_token(
    server: ReviewServer, reviews: TokenReviews, clock: Clock
) -> None:
    token = jwt.encode({"exp": time.time() + 3}, KEY, algorithm="HS256")
    server.accept(token, USER, audiences=("ours", "theirs"))
    assert reviews.review(token)
    clock.now += 3
    assert reviews.review(token) and len(server.asked) == 2


@pytest.mark.parametrize("fails", [401, 403, 404, 500, 503])
def test_a_cluster_that_does_not_answer_is_no_refusal(server: ReviewServer, reviews: TokenReviews, fails: int) -> None:
    server.fails = fails
    with pytest.raises(UnavailableError) as failed:
        reviews.review("a-token-of-somebody")
    assert "a-token-of-somebody" not in failed.value.for_operators()


def test_without_an_audience_nothing_would_be_checked(server: ReviewServer) -> None:
    with pytest.raises(ValueError, match="audience"):
        TokenReviews(server.cluster, ())
