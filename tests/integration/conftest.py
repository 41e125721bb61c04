"""What several files of these tests start."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.two_teams import TwoTeams, two_teams


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def teams(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTeams]:
    """A server that asks who calls, with two teams on it."""
    directory = tmp_path_factory.mktemp("teams")
    if request.param == "sqlite":
        urls = [f"sqlite:///{directory}/{name}.db" for name in ("penstock", "metadata")]
    else:
        server = request.getfixturevalue("postgresql_server")
        urls = [server.database(f"m{uuid.uuid4().hex}") for _ in range(2)]
    with two_teams(directory, *urls) as running:
        yield running
