"""Components that SDKs before 2.5 compiled, with those SDKs from the index: their artifacts have paths."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines" / "old_sdks"


@pytest.mark.parametrize("recognised", [True, False], ids=["as compiled", "command not recognised"])
@pytest.mark.parametrize("version", ["2.0.1", "2.4.0"])
def test_artifacts_of_old_sdks(up: Embedded, client: Client, tmp_path: Path, version: str, recognised: bool) -> None:
    (tmp_path / "file").write_text("imported")
    spec = yaml.safe_load((PIPELINES / f"{version}.yaml").read_text())
    if not recognised:
        for executor in spec["deploymentSpec"]["executors"].values():
            if "container" in executor:
                executor["container"]["command"][-2] = f"true\n{executor['container']['command'][-2]}"
    run_id = runs.start(client, spec, {"imported": str(tmp_path / "file"), "text": f"{version} {recognised}"})
    run, tasks = runs.finished(client, run_id, 280), runs.tasks(client, run_id)
    errors = {path: task.error for path, task in tasks.items() if task.error}
    assert run.state == run_pb2.SUCCEEDED, errors
    assert tasks["use"].outputs["Output"] == f"{version} {recognised} imported"
    (made,) = [one for one in client.list_artifacts(run_id=run_id) if one.type == "system.Dataset"]
    assert made.metadata["length"] == len(f"{version} {recognised}")
    assert made.uri.startswith("file:///")
