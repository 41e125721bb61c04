"""The limits of users that follow from the settings."""

from __future__ import annotations

from typing import Any

import click
import pytest
from penstock.settings import rows
from penstock_server.access.user_limits import UserBounds
from penstock_server.access_composition import user_bounds
from penstock_server.settings import DEFAULT_CALLS, DEFAULT_STREAMS, DEFAULT_UPLOAD_BYTES, Settings


def settings(**given: Any) -> Settings:
    return Settings(**{**{name: row.default for name, row in rows(Settings).items()}, **given})


def test_unless_it_is_said_users_have_limits_and_nobody_on_a_laptop() -> None:
    assert user_bounds(settings(), asks=True) == UserBounds(
        calls=DEFAULT_CALLS, upload_bytes=DEFAULT_UPLOAD_BYTES, streams=DEFAULT_STREAMS
    )
    assert user_bounds(settings(), asks=False) == UserBounds(calls=0, upload_bytes=0, streams=0)


def test_what_is_given_counts_and_0_is_no_limit() -> None:
    given = settings(max_calls_per_user=7, max_upload_bytes_per_user=0, max_streams_per_user=3)
    assert user_bounds(given, asks=True) == UserBounds(calls=7, upload_bytes=0, streams=3)


@pytest.mark.parametrize("name", ["max_calls_per_user", "max_streams_per_user", "max_upload_bytes_per_user"])
def test_limits_of_users_need_users(name: str) -> None:
    option = f"--{name.replace('_', '-')}"
    with pytest.raises(click.UsageError, match=f"{option}: users can be told apart only where they say who they are"):
        user_bounds(settings(**{name: 5}), asks=False)
    assert user_bounds(settings(**{name: 0}), asks=False) == UserBounds()
