"""Every placeholder of executor.md §1.10 in a command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_executor.engine.placeholders import executor_input, resolve_command
from penstock_ir.artifact import Artifact
from penstock_ir.model import ArtifactDefinition, ParameterType

HOSTILE = "{{$.inputs.parameters['text']}} \"quoted\" \\ \n {{$}}"
DATA = Artifact(name="a1", type="system.Dataset", uri="file:///in/data", metadata={"rows": 3, "tags": ["x"]})
MODEL = Artifact(name="m1", type="system.Model", uri="file:///out/model")


def argv(*args: str, **inputs: Any) -> list[str]:
    launch = TaskLaunch(
        key=AttemptKey("run-id", "train", 1),
        task_name="train",
        pipeline_name="pipeline",
        image="image",
        command=("program",),
        args=args,
        env=(),
        task_root="file:///out",
        inputs=inputs,
        defaults={"fallback": "by default"},
        input_artifacts={"data": (DATA,), "none": ()},
        input_artifact_definitions={},
        output_parameters={"score": ParameterType.NUMBER_DOUBLE},
        output_artifacts={"model": OutputArtifact(MODEL, ArtifactDefinition("system.Model"))},
        pipeline_root="file:///root",
        run_display_name="my run",
        run_resource_name="my-run-abcde",
    )
    document = executor_input(
        launch,
        local_uri=lambda artifact: artifact.uri.removeprefix("file://"),
        output_parameter_dir="/tmp/outputs",
        output_file="/out/output_metadata.json",
        uri_of_output=lambda port: f"/out/{port}",
    )
    return resolve_command(launch, document, lambda artifact: artifact.uri.removeprefix("file://"))[1:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{$.inputs.parameters['text']}}", "plain"),
        ('{{$.inputs.parameters["text"]}}', "plain"),
        ("a {{$.inputs.parameters['text']}} b {{$.inputs.parameters['text']}}", "a plain b plain"),
        ("{{$.inputs.parameters['fallback']}}", "by default"),
        ("{{$.inputs.parameters['absent']}}", ""),
        ("{{$.inputs.artifacts['data'].uri}}", "/in/data"),
        ("{{$.inputs.artifacts['data'].path}}", "/in/data"),
        ("{{$.inputs.artifacts['data'].metadata['rows']}}", "3"),
        ("{{$.inputs.artifacts['data'].metadata['tags']}}", '["x"]'),
        ("{{$.inputs.artifacts['data'].metadata}}", '{"rows":3,"tags":["x"]}'),
        ("{{$.outputs.artifacts['model'].uri}}", "/out/model"),
        ("{{$.outputs.artifacts['model'].path}}", "/out/model"),
        ("{{$.outputs.parameters['score'].output_file}}", "/tmp/outputs/score"),
        ("{{$.outputs.output_file}}", "/out/output_metadata.json"),
        ("{{$.pipeline_root}}", "file:///root"),
        ("{{$.pipeline_job_name}}", "my run"),
        ("{{$.pipeline_job_resource_name}}", "my-run-abcde"),
        ("{{$.pipeline_job_uuid}}", "run-id"),
        ("{{$.pipeline_task_name}}", "train"),
        ("{{$.nobody.knows}}", "{{$.nobody.knows}}"),
        ("{{ $ }}", "{{ $ }}"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert argv(text, text="plain") == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "{{$.pipeline_task_uuid}}",
        "{{$.pipeline_job_create_time_utc}}",
        "{{$.pipeline_job_schedule_time_utc}}",
        "{{$.workspace_path}}",
    ],
)
def test_what_only_inputs_know_stays(text: str) -> None:
    assert argv(f"at {text}") == [f"at {text}"]


def test_the_whole_input_and_its_escaped_form() -> None:
    whole, escaped = argv("{{$}}", "{{$.json_escape[1]}}", text=HOSTILE)
    document = json.loads(whole)
    assert document["inputs"]["parameterValues"] == {"text": HOSTILE, "fallback": "by default"}
    assert document["outputs"]["outputFile"] == "/out/output_metadata.json"
    assert json.loads(f'"{escaped}"') == whole


def test_a_value_is_expanded_once() -> None:
    assert argv("<{{$.inputs.parameters['text']}}>", text=HOSTILE) == [f"<{HOSTILE}>"]


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        ({"Concat": ["--x=", "{{$.inputs.parameters['text']}}", "!"]}, ["--x=plain!"]),
        ({"IfPresent": {"InputName": "text", "Then": ["--a", "{{$.inputs.parameters['text']}}"]}}, ["--a", "plain"]),
        ({"IfPresent": {"InputName": "absent", "Then": "x"}}, []),
        ({"IfPresent": {"InputName": "null", "Then": "x", "Else": "y"}}, ["y"]),
        ({"IfPresent": {"InputName": "data", "Then": "artifact"}}, ["artifact"]),
        ({"IfPresent": {"InputName": "none", "Then": "x", "Else": ["no", "artifact"]}}, ["no", "artifact"]),
        ({"IfPresent": {"InputName": "text", "Then": {"Concat": ["a", {"Concat": ["b", "c"]}]}}}, ["abc"]),
        (
            {"Concat": ["a", {"IfPresent": {"InputName": "text", "Then": "{{$.outputs.artifacts['model'].path}}"}}]},
            ["a/out/model"],
        ),
    ],
)
def test_structures(structure: dict[str, Any], expected: list[str]) -> None:
    assert argv(json.dumps(structure), text="plain") == expected
