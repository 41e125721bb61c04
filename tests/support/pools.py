"""Runs whose tasks take slots of a pool, on a Penstock that is there: who had them when, and what is left of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import psycopg
from penstock.client import Client
from penstock_api.v1 import pool_pb2

from tools.testing import specs


def put(client: Client, name: str, slots: int) -> None:
    client.call(client.pools.PutPool, pool_pb2.PutPoolRequest(pool=pool_pb2.Pool(name=name, slots=slots)))


def pool(client: Client, name: str) -> pool_pb2.GetPoolResponse:
    found: pool_pb2.GetPoolResponse = client.call(client.pools.GetPool, pool_pb2.GetPoolRequest(name=name))
    return found


def timed(path: Path, seconds: float) -> list[str]:
    """A command that writes when it began and when it ended."""
    script = f"a=$(date +%s%N); sleep {seconds}; echo $a $(date +%s%N) >> {path}"
    return ["sh", "-c", script]


def spans(path: Path) -> list[tuple[int, int]]:
    return sorted((int(line.split()[0]), int(line.split()[1])) for line in path.read_text().splitlines())


def assert_one_at_a_time(path: Path, number: int) -> None:
    found = spans(path)
    assert len(found) == number
    for (_, ended), (began, _) in pairwise(found):
        assert began >= ended, f"{found}: two had the slot at a time"


def siblings(path: Path, count: int, seconds: float) -> dict[str, object]:
    commands = {f"t{number}": timed(path, seconds) for number in range(count)}
    return specs.pooled("licence", of=specs.siblings(commands))


def slot_rows(url: str) -> int:
    """What attempts hold or wait for, in a PostgreSQL database."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM slot_demands").fetchone()
    assert row is not None
    return int(row[0])
