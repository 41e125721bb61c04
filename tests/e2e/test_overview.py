"""`penstock overview` while executors come and go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from penstock.cli.main import main
from penstock.client import Client

from tests.support.replicas import Replicas
from tools.testing import runs, specs


def overview(replicas: Replicas, *options: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["overview", "--server", replicas.addresses[-1], *options])
    assert result.exit_code == code, result.output
    return result.output


def figures(replicas: Replicas, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(overview(replicas, "--json", code=code))
    return found


def test_executors_of_any_server_are_seen_at_each(tmp_path: Path, environments: Path, postgresql_url: str) -> None:
    """Each executor calls a server of its own, the overview is asked of the second one."""
    with Replicas(tmp_path, postgresql_url, failover=False, environments=environments) as replicas:
        names = [executor.name for executor in replicas.executors]
        runs.until(
            lambda: [one["name"] for one in figures(replicas).get("executors", [])], lambda found: found == names
        )
        text = overview(replicas)
        assert "no run is under way" in text
        go = tmp_path / "go"
        with Client(replicas.addresses[0]) as client:
            run_id = runs.start(client, specs.container(["sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done"]))
            # What an executor has under way is told with its next heartbeat that is written down.
            runs.until(
                lambda: [one.get("open_attempts", 0) for one in figures(replicas)["executors"]],
                lambda found: sum(found) == 1,
            )
            found = figures(replicas)
            assert found["open_runs"] == {"RUNNING": 1}
            assert sum(one.get("held_runs", 0) for one in found["executors"]) == 1
            assert {one["places"] for one in found["executors"]} == {2}
            go.touch()
            runs.finished(client, run_id)
        # Whoever stops says goodbye.
        replicas.executors[0].terminate()
        assert [one["name"] for one in figures(replicas)["executors"]] == names[1:]
        replicas.executors[1].terminate()
        without = figures(replicas, code=1)
        assert "executors" not in without
        with Client(replicas.addresses[0]) as client:
            runs.start(client, specs.container(["true"]))
        text = overview(replicas, code=1)
        assert "1 PENDING; 1 wait for an executor" in text
        assert "penstock-executor --server" in text
