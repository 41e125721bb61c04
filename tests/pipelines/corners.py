"""The corners of the language: one small pipeline per row of docs/semantics.md, where language.py has none."""

import os
from typing import Dict, List, Optional

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output
from language import add, fail, items, number, optional, read, text, write


@dsl.component
def beyond_doubles() -> int:
    return 2**53 + 1


@dsl.component
def describe(value: dict) -> str:
    import json

    return json.dumps(value, sort_keys=True)


@dsl.component
def show(values: list) -> str:
    import json

    return json.dumps(values)


@dsl.component
def struct(number_of_items: int) -> Dict[str, List[int]]:
    return {"items": list(range(number_of_items)), "none": None}


@dsl.component
def lengthy() -> str:
    import time

    time.sleep(120)
    return "too late"


@dsl.component
def status_of(status: dsl.PipelineTaskFinalStatus) -> str:
    message = (status.error_message or "").strip().splitlines()
    return f"{status.state}: {message[-1] if message else 'no error'}"


@dsl.component
def how_many(datasets: Input[List[Dataset]]) -> int:
    # The SDK hands an empty list over as None.
    return len(datasets or [])


@dsl.component
def optional_dataset(dataset: Optional[Input[Dataset]] = None) -> str:
    if dataset is None:
        return "no dataset"
    with open(dataset.path) as source:
        return source.read()


@dsl.component
def elsewhere(model: Output[Model]):
    import os
    import tempfile

    model.custom_path = os.path.join(tempfile.mkdtemp(), "model.txt")
    with open(model.custom_path, "w") as out:
        out.write("kept elsewhere")


@dsl.component
def read_model(model: Input[Model]) -> str:
    with open(model.path) as source:
        return source.read()


@dsl.component
def pythonic(content: str) -> Dataset:
    dataset = Dataset(uri=dsl.get_uri(suffix="made"), metadata={"made": "in Python"})
    with open(dataset.path, "w") as out:
        out.write(content)
    return dataset


@dsl.component
def metadata_of(dataset: Input[Dataset]) -> str:
    return str(dataset.metadata["made"])


@dsl.component(task_config_passthroughs=[dsl.TaskConfigField.ENV, dsl.TaskConfigField.RESOURCES])
def passed_through(config: dsl.TaskConfig) -> str:
    import os

    return f"{config.env[0]['value']} {config.resources['limits']['cpu']} {os.environ.get('LEVEL')}"


@dsl.component(task_config_passthroughs=[dsl.TaskConfigField.RESOURCES])
def resources_of(config: dsl.TaskConfig) -> str:
    import json

    return json.dumps(config.resources, sort_keys=True)


@dsl.component
def in_workspace(directory: str) -> str:
    import os

    with open(os.path.join(directory, "left.txt"), "a") as out:
        out.write("x")
    return str(os.path.getsize(os.path.join(directory, "left.txt")))


@dsl.component(embedded_artifact_path=os.path.join(os.path.dirname(os.path.abspath(__file__)), "embedded"))
def with_embedded(directory: dsl.EmbeddedInput[Dataset]) -> str:
    import os

    with open(os.path.join(directory.path, "note.txt")) as source:
        return source.read().strip()


@dsl.notebook_component(notebook_path=os.path.join(os.path.dirname(os.path.abspath(__file__)), "notebook.ipynb"))
def by_notebook(word: str, dataset: Output[Dataset]):
    dsl.run_notebook(word=word, target=dataset.path)


@dsl.component
def uri_of(path: str) -> str:
    return path


@dsl.component
def flaky_item(path: str, item: str) -> str:
    import os

    name = f"{path}-{item}"
    attempts = os.path.getsize(name) if os.path.exists(name) else 0
    with open(name, "a") as out:
        out.write("x")
    if attempts < 1:
        raise RuntimeError("the first attempt fails on purpose")
    return f"{item} at attempt {attempts + 1}"


@dsl.container_component
def hangs_once(path: str, result: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="alpine",
        command=[
            "sh",
            "-c",
            'mkdir -p "$(dirname "$0")"; said="in time"; if ! [ -e "$1" ]; then touch "$1"; sleep 120; said="too late"; fi;'
            ' printf "%s" "$said" > "$0"',
        ],
        args=[result, path],
    )


@dsl.container_component
def printed(name: str, result: dsl.OutputPath(str), note: Optional[str] = None, suffix: str = "!"):
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", 'mkdir -p "$(dirname "$0")"; printf "%s|" "$@" > "$0"'],
        args=[
            result,
            dsl.ConcatPlaceholder(["<", name, suffix, ">"]),
            dsl.IfPresentPlaceholder("note", then=["--note", note], else_=["--no-note"]),
        ],
    )


@dsl.container_component
def where_am_i(result: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", 'mkdir -p "$(dirname "$0")"; printf "%s" "$1" > "$0"'],
        args=[result, "in {{$.pipeline_task_name}}"],
    )


# --- inputs --------------------------------------------------------------------------------------------------------


@dsl.pipeline(name="big-numbers")
def big_numbers() -> str:
    large = beyond_doubles()
    return text(value=f"{number(value=large.output).output}/{add(left=large.output, right=1).output}").output


@dsl.pipeline(name="resolved-once")
def resolved_once(name: str = "{{$.pipeline_job_uuid}} \"quoted\" \\ {{$.inputs.parameters['other']}}") -> str:
    return text(value=f"<{text(value=name).output}>").output


@dsl.pipeline(name="structures")
def structures(name: str = 'a "name"') -> str:
    made = text(value=name)
    return describe(value={"list": [f"1 {made.output}", 2, True], "x": {"deep": f"{name}!"}}).output


@dsl.pipeline(name="innermost")
def innermost(dataset: Optional[Input[Dataset]] = None, given: Optional[str] = None) -> str:
    optional(given=given)
    return optional_dataset(dataset=dataset).output


@dsl.pipeline(name="between")
def between(dataset: Optional[Input[Dataset]] = None, given: Optional[str] = None) -> str:
    return innermost(dataset=dataset, given=given).output


@dsl.pipeline(name="optional-artifacts")
def optional_artifacts() -> str:
    made = write(content="a dataset")
    return text(value=f"{between().output}, {between(dataset=made.outputs['dataset']).output}").output


@dsl.pipeline(name="shared-set-up")
def shared_set_up() -> str:
    return passed_through().set_env_variable("LEVEL", "high").set_cpu_limit("2").output


# --- control flow --------------------------------------------------------------------------------------------------


@dsl.pipeline(name="one-of-artifacts")
def one_of_artifacts(choose: str = "first") -> str:
    with dsl.If(choose == "first"):
        first = write(content="the first")
    with dsl.Else():
        second = write(content="the second")
    return read(dataset=dsl.OneOf(first.outputs["dataset"], second.outputs["dataset"])).output


@dsl.pipeline(name="quoted-condition")
def quoted_condition(given: str = "plain") -> str:
    seen = text(value=given)
    with dsl.If(seen.output == "plain"):
        plain = text(value="plain it is")
    with dsl.Else():
        other = text(value="something else")
    return text(value=dsl.OneOf(plain.output, other.output)).output


@dsl.pipeline(name="nested-collected")
def nested_collected() -> str:
    with dsl.ParallelFor([1, 2]) as outer:
        with dsl.ParallelFor([10, 20]) as inner_item:
            summed = add(left=outer, right=inner_item)
    return show(values=dsl.Collected(summed.output)).output


@dsl.pipeline(name="collected-lists")
def collected_lists() -> str:
    with dsl.ParallelFor([1, 2]) as item:
        made = items(number_of_items=item)
    return show(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="empty-artifact-loop")
def empty_artifact_loop() -> int:
    with dsl.ParallelFor(items(number_of_items=0).output) as item:
        made = write(content=f"{item}")
    return how_many(datasets=dsl.Collected(made.outputs["dataset"])).output


@dsl.pipeline(name="make-datasets")
def make_datasets(contents: List[str]) -> List[Dataset]:
    with dsl.ParallelFor(contents) as item:
        made = write(content=item)
    return dsl.Collected(made.outputs["dataset"])


@dsl.pipeline(name="loop-over-artifacts")
def loop_over_artifacts() -> str:
    with dsl.ParallelFor(make_datasets(contents=["a", "b"]).output) as dataset:
        seen = read(dataset=dataset)
    return show(values=dsl.Collected(seen.output)).output


@dsl.pipeline(name="deep-loops")
def deep_loops() -> str:
    with dsl.ParallelFor([1, 2], parallelism=1) as first:
        with dsl.ParallelFor([10, 20], parallelism=2) as second:
            with dsl.ParallelFor([100]) as third:
                made = add(left=add(left=first, right=second).output, right=third)
    return show(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="several-exit-tasks")
def several_exit_tasks():
    first = fail(message="on purpose")
    second = text(value="fine")
    optional(given=first.output, other="one").ignore_upstream_failure().after(second)
    optional(given=first.output, other="two").ignore_upstream_failure().after(second)


@dsl.pipeline(name="loop-in-exit-handler")
def loop_in_exit_handler():
    with dsl.ExitHandler(status_of()):
        with dsl.ParallelFor([1, 2]) as item:
            number(value=item)


@dsl.pipeline(name="handled")
def handled(value: int) -> int:
    with dsl.ExitHandler(status_of()):
        number(value=value)
    return number(value=value).output


@dsl.pipeline(name="exit-handler-in-loop")
def exit_handler_in_loop() -> str:
    with dsl.ParallelFor([1, 2]) as item:
        made = handled(value=item)
    return show(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="exit-task-that-fails")
def exit_task_that_fails():
    with dsl.ExitHandler(fail(message="the exit task fails on purpose")):
        text(value="fine")


@dsl.pipeline(name="error-in-the-status")
def error_in_the_status():
    with dsl.ExitHandler(status_of()):
        fail(message="this very text")


@dsl.pipeline(name="flaky-pipeline")
def flaky_pipeline(path: str) -> str:
    return flaky_item(path=path, item="inner").set_caching_options(False).output


@dsl.pipeline(name="retry-of-a-pipeline")
def retry_of_a_pipeline(path: str) -> str:
    return flaky_pipeline(path=path).set_retry(2, backoff_duration="0s").output


@dsl.pipeline(name="retry-in-a-loop")
def retry_in_a_loop(path: str) -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        made = flaky_item(path=path, item=item).set_retry(1, backoff_duration="0s").set_caching_options(False)
    return show(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="deadline", pipeline_config=dsl.PipelineConfig(active_deadline_seconds=3))
def deadline():
    with dsl.ExitHandler(status_of()):
        lengthy()


@dsl.pipeline(name="deadline-of-a-task")
def deadline_of_a_task(path: str) -> str:
    task = hangs_once(path=path).set_retry(1, backoff_duration="0s").set_caching_options(False)
    # As set_timeout of kfp-kubernetes leaves it.
    task.platform_config["kubernetes"] = {"activeDeadlineSeconds": "5"}
    return text(value=task.outputs["result"]).output


@dsl.pipeline(name="time-to-live", pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=60))
def time_to_live():
    text(value="kept")


# --- placeholders --------------------------------------------------------------------------------------------------


@dsl.pipeline(name="structured-arguments")
def structured_arguments(name: str = "a b") -> str:
    bare = printed(name=name)
    noted = printed(name=name, note="it's noted", suffix="?")
    return text(value=f"{bare.outputs['result']} {noted.outputs['result']}").output


@dsl.pipeline(name="run-placeholders")
def run_placeholders() -> str:
    made = text(value=f"{dsl.PIPELINE_TASK_NAME_PLACEHOLDER} in a text")
    return text(value=f"{made.output}; {where_am_i().outputs['result']}").output


@dsl.pipeline(name="machine-from-upstream")
def machine_from_upstream(memory: str = "2Gi") -> str:
    task = resources_of()
    task.set_container_image(f"python:{text(value='3.11').output}")
    task.set_cpu_limit(text(value="500m").output).set_memory_limit(memory)
    task.set_accelerator_type(f"example.com/{text(value='device').output}").set_accelerator_limit(
        number(value=3).output
    )
    return task.output


# --- caching, importer, artifacts ----------------------------------------------------------------------------------


@dsl.pipeline(name="cache-keys")
def cache_keys(name: str = "a") -> str:
    first = text(value=name).set_caching_options(True, cache_key="the-key")
    return text(value="other").set_caching_options(True, cache_key="the-key").after(first).output


@dsl.pipeline(name="import-from-upstream")
def import_from_upstream(path: str) -> str:
    imported = dsl.importer(
        artifact_uri=uri_of(path=path).output,
        artifact_class=Dataset,
        reimport=True,
        metadata={"made": f"by {path}", "kind": "imported"},
    )
    return read(dataset=imported.output).output


@dsl.pipeline(name="embedded-artifacts")
def embedded_artifacts() -> str:
    return with_embedded().output


@dsl.pipeline(name="notebook")
def notebook(word: str = "hello") -> str:
    return read(dataset=by_notebook(word=word).outputs["dataset"]).output


@dsl.pipeline(name="custom-path")
def custom_path() -> str:
    return read_model(model=elsewhere().outputs["model"]).output


@dsl.pipeline(name="pythonic-artifacts")
def pythonic_artifacts() -> str:
    made = pythonic(content="made in Python")
    return text(value=f"{read(dataset=made.output).output}; {metadata_of(dataset=made.output).output}").output


_WORKSPACE = dsl.WorkspaceConfig(
    size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteOnce"]})
)


@dsl.pipeline(name="shared-workspace", pipeline_config=dsl.PipelineConfig(workspace=_WORKSPACE))
def shared_workspace() -> str:
    first = in_workspace(directory=dsl.WORKSPACE_PATH_PLACEHOLDER)
    return in_workspace(directory=dsl.WORKSPACE_PATH_PLACEHOLDER).after(first).output


@dsl.component
def three_files(files: Output[Dataset]):
    import os

    os.makedirs(files.path)
    for name in ("kept", "changed", "removed"):
        with open(os.path.join(files.path, name), "w") as out:
            out.write("original")


@dsl.component
def spoil(files: Input[Dataset], note: Input[Dataset]) -> str:
    import os
    import stat

    for path in (note.path, os.path.join(files.path, "changed")):
        with open(path, "a") as out:
            out.write(", spoilt")
    os.remove(os.path.join(files.path, "removed"))
    os.chmod(os.path.join(files.path, "kept"), stat.S_IRUSR)
    with open(os.path.join(files.path, "added"), "w") as out:
        out.write("new")
    with open(note.path) as changed:
        return f"{changed.read()}; {sorted(os.listdir(files.path))}"


@dsl.component
def contents(files: Input[Dataset], note: Input[Dataset]) -> str:
    import os

    found = [open(note.path).read()]
    for name in sorted(os.listdir(files.path)):
        with open(os.path.join(files.path, name)) as file:
            found.append(f"{name}: {file.read()}")
    return "; ".join(found)


@dsl.pipeline(name="inputs-changed-in-place")
def inputs_changed_in_place() -> str:
    files, note = three_files().output, write(content="original").output
    spoilt = spoil(files=files, note=note)
    return contents(files=files, note=note).after(spoilt).output


PIPELINES = {
    name: value
    for name, value in list(globals().items())
    if type(value).__name__ == "GraphComponent"
    and name not in ("innermost", "between", "handled", "flaky_pipeline", "make_datasets")
}
