"""What placeholders make of a command (executor.md §1.10).

Why it exists: upstream replaces placeholders in several places, over already replaced text, in random order. Here one
scanner (`penstock_ir.placeholders`) serves task-input constants, image and resource texts and command lines.

Invariant: values have one text form, `penstock_ir.parameters.value_text`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock_ir.artifact import Artifact
from penstock_ir.model import JsonValue
from penstock_ir.parameters import value_text
from penstock_ir.placeholders import parameter_name, substitute

from penstock_executor.attempts import TaskLaunch

_ARTIFACT = re.compile(
    r"\.(?P<side>inputs|outputs)\.artifacts\[(['\"])(?P<name>.*?)\2\]"
    r"(?:\.(?P<field>uri|path|name)|\.metadata(?:\[(['\"])(?P<key>.*?)\5\]|\.(?P<dotted>\w+))?)?$",
    re.DOTALL,
)
_OUTPUT_FILE = re.compile(r"\.outputs\.parameters\[(['\"])(?P<name>.*?)\1\]\.output_file$", re.DOTALL)
_STRUCTURES = ('{"IfPresent"', '{"Concat"')


def executor_input(
    launch: TaskLaunch,
    *,
    local_uri: Callable[[Artifact], str],
    output_parameter_dir: str,
    output_file: str,
    uri_of_output: Callable[[str], str],
) -> dict[str, Any]:
    """The ExecutorInput message as camelCase JSON, what the SDK's runtime reads (executor.md §3.12).

    `local_uri` gives the URI an input artifact shows to the task, `uri_of_output` that of an output port; on a local
    machine both are plain paths. `output_file` is where the task leaves its output_metadata.json.
    """

    def runtime_artifact(artifact: Artifact, uri: str) -> dict[str, Any]:
        document: dict[str, Any] = {
            "name": artifact.name,
            "uri": uri,
            "type": {"schemaTitle": artifact.type, "schemaVersion": artifact.schema_version},
            "metadata": dict(artifact.metadata),
        }
        if artifact.custom_path:
            document["customPath"] = artifact.custom_path
        return document

    return {
        "inputs": {
            "parameterValues": dict(launch.inputs),
            "artifacts": {
                port: {"artifacts": [runtime_artifact(artifact, local_uri(artifact)) for artifact in artifacts]}
                for port, artifacts in launch.input_artifacts.items()
            },
        },
        "outputs": {
            "parameters": {name: {"outputFile": f"{output_parameter_dir}/{name}"} for name in launch.output_parameters},
            "artifacts": {
                port: {"artifacts": [runtime_artifact(output.artifact, uri_of_output(port))]}
                for port, output in launch.output_artifacts.items()
            },
            "outputFile": output_file,
        },
    }


def resolve_command(
    launch: TaskLaunch, executor_input: Mapping[str, Any], local_path: Callable[[Artifact], str]
) -> list[str]:
    """Command and args with every placeholder replaced, IfPresent and Concat evaluated.

    Component defaults count for placeholders and inside `{{$}}`, not for IfPresent (executor.md §2.4, §1.10).
    """
    values = {**launch.defaults, **launch.inputs}
    inputs = {**executor_input["inputs"], "parameterValues": values}
    whole = json.dumps({**executor_input, "inputs": inputs}, separators=(",", ":"), ensure_ascii=False)
    resolver = _CommandResolver(launch, executor_input, values, whole, local_path)
    argv: list[str] = []
    for argument in (*launch.command, *launch.args):
        argv.extend(resolver.argument(argument))
    return argv


class _CommandResolver:
    def __init__(
        self,
        launch: TaskLaunch,
        executor_input: Mapping[str, Any],
        values: Mapping[str, JsonValue],
        whole: str,
        local_path: Callable[[Artifact], str],
    ) -> None:
        self._launch = launch
        self._input = executor_input
        self._values = values
        self._whole = whole
        self._local_path = local_path

    def argument(self, text: str) -> Sequence[str]:
        """One element of the command line, which may become none or several."""
        if text.lstrip().startswith(_STRUCTURES):
            try:
                structure = json.loads(text)
            except ValueError:
                return [self.text(text)]
            return self._structure(structure)
        return [self.text(text)]

    def text(self, text: str) -> str:
        return substitute(text, self._lookup)

    def _structure(self, value: Any) -> list[str]:
        if isinstance(value, str):
            return [self.text(value)]
        if isinstance(value, list):
            return [text for item in value for text in self._structure(item)]
        if isinstance(value, dict) and set(value) == {"Concat"} and isinstance(value["Concat"], list):
            return ["".join(text for item in value["Concat"] for text in self._structure(item))]
        if isinstance(value, dict) and set(value) == {"IfPresent"} and isinstance(value["IfPresent"], dict):
            choice = value["IfPresent"]
            chosen = choice.get("Then") if self._is_present(choice.get("InputName")) else choice.get("Else")
            return [] if chosen is None else self._structure(chosen)
        return [json.dumps(value, separators=(",", ":"), ensure_ascii=False)]

    def _is_present(self, name: Any) -> bool:
        return self._launch.inputs.get(name) is not None or bool(self._launch.input_artifacts.get(name))

    def _lookup(self, expression: str) -> str | None:
        if expression == "":
            return self._whole
        if expression == ".json_escape[1]":
            return json.dumps(self._whole)[1:-1]
        if expression == ".outputs.output_file":
            return str(self._input["outputs"]["outputFile"])
        name = parameter_name(expression)
        if name is not None:
            return self._parameter(name)
        match = _OUTPUT_FILE.match(expression)
        if match:
            output = self._input["outputs"]["parameters"].get(match.group("name"))
            return None if output is None else str(output["outputFile"])
        match = _ARTIFACT.match(expression)
        if match:
            return self._artifact(match)
        return self._run_property(expression)

    def _parameter(self, name: str) -> str | None:
        if name in self._values:
            return value_text(self._values[name])
        # An optional input nobody gave: nothing, rather than the placeholder's own text in somebody's command line.
        return ""

    def _artifact(self, match: re.Match[str]) -> str | None:
        name, side, field = match.group("name"), match.group("side"), match.group("field")
        entry = self._input[side]["artifacts"].get(name)
        if not entry or not entry["artifacts"]:
            return None
        shown = entry["artifacts"][0]
        if field == "path":
            if side == "inputs":
                return self._local_path(self._launch.input_artifacts[name][0])
            return self._local_path(self._launch.output_artifacts[name].artifact)
        if field is not None:
            return str(shown[field])
        if ".metadata" not in match.group(0):
            return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
        key = match.group("key") or match.group("dotted")
        return value_text(shown["metadata"] if key is None else shown["metadata"].get(key))

    def _run_property(self, expression: str) -> str | None:
        launch = self._launch
        known = {
            ".pipeline_root": launch.pipeline_root,
            ".pipeline_job_name": launch.run_display_name,
            ".pipeline_job_resource_name": launch.run_resource_name,
            ".pipeline_job_uuid": launch.key.run_id,
            ".pipeline_task_name": launch.task_name,
        }
        return known.get(expression)
