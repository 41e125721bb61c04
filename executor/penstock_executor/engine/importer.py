"""Importers: decided here, without a Pod or a process (executor.md §3.8, §10.35).

Invariants: an import without `reimport` has a name that depends on what is imported only, so equal imports of a
pipeline are one artifact; with `reimport` each is its own. The object itself is not looked at: what goes into the
workspace is copied by the first task that uses it.
"""

from __future__ import annotations

from penstock_ir.artifact import Artifact
from penstock_ir.event_log import Outputs
from penstock_ir.model import ImporterExecutor, JsonValue, Task

from penstock_executor.engine import names
from penstock_executor.engine.inputs import InputError, importer_metadata, importer_text
from penstock_executor.engine.state import Node, RunContext
from penstock_executor.pod_paths import FILES, shown_uri, stored_uri


def outputs_of(node: Node, task: Task, context: RunContext, generation: int) -> Outputs:
    """The artifact an importer task gives under each of its output ports; `generation` counts the retries of the run.

    Raises InputError.
    """
    spec = task.component.implementation
    assert isinstance(spec, ImporterExecutor)
    uri = _stored(_uri(node, task, spec, context))
    if spec.download_to_workspace and uri.startswith("oci://"):
        raise InputError(f"importer: {uri} cannot be downloaded into the workspace; import it without the download")
    metadata: dict[str, JsonValue] = {}
    for key, value in spec.metadata.items():
        name = importer_text(key, node.inputs, context, task, node.path)
        metadata[name] = importer_metadata(value, node.inputs, context, task, node.path)
    metadata = {key: value for key, value in metadata.items() if value is not None}
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for port in task.component.output_artifacts:
        if spec.reimport:
            name = names.artifact_name(context.run_id, node.path, generation, port)
        else:
            name = names.imported_artifact_name(
                context.pipeline_name, spec.schema_title, uri, metadata, context.namespace
            )
        artifacts[port] = (
            Artifact(
                name=name,
                type=spec.schema_title,
                uri=uri,
                metadata=metadata,
                display_name=port,
                schema_version=spec.schema_version,
                workspace=spec.download_to_workspace,
            ),
        )
    return Outputs(artifacts=artifacts)


def _stored(uri: str) -> str:
    """Where a task in a container is shown a file is the file's place: the task may hand it on as a URI."""
    return stored_uri(uri) if uri.startswith((f"{FILES}/", shown_uri("file:///"))) else uri


def _uri(node: Node, task: Task, spec: ImporterExecutor, context: RunContext) -> str:
    if spec.uri_input is not None:
        value = node.inputs.get(spec.uri_input)
        if not isinstance(value, str) or not value:
            raise InputError(f"importer: input {spec.uri_input!r} gives no URI")
        return value
    uri = importer_text(spec.uri or "", node.inputs, context, task, node.path)
    if not uri:
        raise InputError("importer: the artifact URI is empty")
    return uri
