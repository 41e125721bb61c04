"""Artifacts in ML Metadata, as the web UI reads them (executor.md §2.9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import lineage
from tools.embedded import Embedded
from tools.testing import runs, specs

_DATASET = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
_NAMES_ITS_OUTPUT = """
import json, os, sys
outputs = json.loads(sys.argv[1])["outputs"]
os.makedirs(os.path.dirname(outputs["outputFile"]), exist_ok=True)
entry = outputs["artifacts"]["titled"]["artifacts"][0]
entry = {"name": entry["name"], "uri": entry["uri"], "metadata": {"display_name": "My data"}}
with open(outputs["outputFile"], "w") as file:
    json.dump({"artifacts": {"titled": {"artifacts": [entry]}}}, file)
"""


def spec(imported: Path) -> dict[str, Any]:
    """`use` reads, under names of its own, what two tasks have made and one has imported."""
    commands = {"make": ["true"], "title": ["python3", "-c", _NAMES_ITS_OUTPUT, "{{$}}"], "use": ["true"]}
    document = specs.chain(commands, name="names")
    components, tasks = document["components"], document["root"]["dag"]["tasks"]
    components["comp-make"]["outputDefinitions"] = {"artifacts": {"plain": _DATASET}}
    components["comp-title"]["outputDefinitions"] = {"artifacts": {"titled": _DATASET}}
    components["comp-bring"] = {
        "executorLabel": "exec-bring",
        "outputDefinitions": {"artifacts": {"artifact": _DATASET}},
    }
    document["deploymentSpec"]["executors"]["exec-bring"] = {
        "importer": {"artifactUri": {"constant": f"file://{imported}"}, "typeSchema": _DATASET["artifactType"]}
    }
    tasks["bring"] = {"taskInfo": {"name": "bring"}, "componentRef": {"name": "comp-bring"}}
    producers = {"first": ("make", "plain"), "second": ("title", "titled"), "third": ("bring", "artifact")}
    components["comp-use"]["inputDefinitions"] = {"artifacts": dict.fromkeys(producers, _DATASET)}
    tasks["use"]["dependentTasks"] = ["make", "title", "bring"]
    tasks["use"]["inputs"] = {
        "artifacts": {
            port: {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}
            for port, (task, key) in producers.items()
        }
    }
    return document


def test_an_artifact_keeps_the_name_that_its_producer_gave(up: Embedded, client: Client, tmp_path: Path) -> None:
    """What its consumers call it is in their events."""
    (tmp_path / "imported").write_text("x")
    run_id = runs.start(client, spec(tmp_path / "imported"))
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error
    store = lineage.store(up.grpc)
    context = store.get_context_by_type_and_name("system.PipelineRun", run_id)
    artifacts = store.get_artifacts_by_context(context.id)
    names = {one.id: one.custom_properties["display_name"].string_value for one in artifacts}
    assert sorted(names.values()) == ["My data", "artifact", "plain"]
    event = metadata_store_pb2.Event
    found = {
        (names[one.artifact_id], one.type, one.path.steps[0].key)
        for one in store.get_events_by_artifact_ids(list(names))
    }
    assert found == {
        ("plain", event.OUTPUT, "plain"),
        ("plain", event.INPUT, "first"),
        ("My data", event.OUTPUT, "titled"),
        ("My data", event.INPUT, "second"),
        ("artifact", event.OUTPUT, "artifact"),
        ("artifact", event.INPUT, "third"),
    }
