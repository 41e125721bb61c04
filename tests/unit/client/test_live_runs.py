"""A page of runs over streams that break, each of which says what is written for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Union

import grpc
import pytest
from penstock.client import ClientError
from penstock.live_runs import LiveRuns, followed
from penstock_api.v1 import watch_pb2
from penstock_api.v2beta1 import run_pb2

Step = Union[watch_pb2.RunsChange, ClientError]
GONE = ClientError("gone", grpc.StatusCode.UNAVAILABLE)


def change(run_ids: str, *runs: tuple[str, str]) -> watch_pb2.RunsChange:
    sent = [run_pb2.Run(run_id=run_id, state=state) for run_id, state in runs]
    return watch_pb2.RunsChange(run_ids=run_ids.split(), runs=sent, total_size=len(run_ids.split()))


def pages(*streams: list[Step], paused: list[float] | None = None) -> Iterator[LiveRuns]:
    waiting = iter(streams)

    def open_stream() -> Iterable[watch_pb2.RunsChange]:
        for step in next(waiting):
            if isinstance(step, ClientError):
                raise step
            yield step

    return followed(open_stream, (paused if paused is not None else []).append)


def rows(page: LiveRuns) -> list[tuple[str, str]]:
    return [(run.run_id, run_pb2.RuntimeState.Name(run.state)) for run in page.runs]


def test_what_changes_is_put_into_the_page() -> None:
    found = pages([change("b a", ("a", "RUNNING"), ("b", "PENDING")), change("c b", ("c", "PENDING"))])
    first, second = islice(found, 2)
    assert rows(first) == [("b", "PENDING"), ("a", "RUNNING")]
    assert (rows(second), second.total_size) == ([("c", "PENDING"), ("b", "PENDING")], 2)


def test_what_is_known_stays_while_the_server_is_away() -> None:
    paused: list[float] = []
    found = pages([change("a", ("a", "RUNNING")), GONE], [GONE], [GONE], [change("b", ("b", "PENDING"))], paused=paused)
    known, lost, _, still_lost, back = islice(found, 5)
    assert (rows(lost), lost.lost, still_lost.lost) == (rows(known), "gone", "gone")
    assert (rows(back), back.lost) == ([("b", "PENDING")], "")
    assert 0 < paused[0] <= 0.25
    assert 0.25 <= paused[1] <= 0.5
    assert 0.5 <= paused[2] <= 1


def test_a_stream_that_the_server_ends_is_begun_again_without_a_word() -> None:
    found = pages([change("a", ("a", "RUNNING"))], [change("a", ("a", "SUCCEEDED"))])
    assert [page.lost for page in islice(found, 2)] == ["", ""]


def test_what_will_not_pass_is_an_error() -> None:
    with pytest.raises(ClientError, match="no such list"):
        next(pages([ClientError("no such list", grpc.StatusCode.INVALID_ARGUMENT)]))
