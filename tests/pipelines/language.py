"""Small pipelines, one per feature of the language, in the order of docs/semantics.md."""

from typing import Dict, List, NamedTuple, Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component
def text(value: str) -> str:
    return value


@dsl.component
def number(value: int) -> int:
    return value


@dsl.component
def add(left: int, right: int) -> int:
    return left + right


@dsl.component
def total(values: List[int]) -> int:
    return sum(values)


@dsl.component
def count(values: List[int]) -> int:
    return len(values)


@dsl.component
def fail(message: str) -> str:
    raise RuntimeError(message)


@dsl.component
def write(content: str, dataset: Output[Dataset]):
    with open(dataset.path, "w") as out:
        out.write(content)
    dataset.metadata["length"] = len(content)


@dsl.component
def read(dataset: Input[Dataset]) -> str:
    with open(dataset.path) as source:
        return source.read()


@dsl.component
def where(dataset: Input[Dataset]) -> str:
    with open(dataset.path) as source:
        return f"{source.read()} in the workspace: {'workspace' in dataset.path}"


@dsl.component
def join(datasets: Input[List[Dataset]]) -> str:
    parts = []
    for dataset in datasets:
        with open(dataset.path) as source:
            parts.append(source.read())
    return "+".join(parts)


@dsl.component
def all_types(
    a_text: str, an_int: int, a_float: float, a_bool: bool, a_list: List[int], a_dict: Dict[str, int]
) -> NamedTuple(
    "Types",
    [("a_text", str), ("an_int", int), ("a_float", float), ("a_bool", bool), ("a_list", list), ("a_dict", dict)],
):
    from collections import namedtuple

    assert isinstance(an_int, int) and isinstance(a_bool, bool), (an_int, a_bool)
    result = namedtuple("Types", ["a_text", "an_int", "a_float", "a_bool", "a_list", "a_dict"])
    return result(a_text, an_int, float(a_float), a_bool, a_list, a_dict)


@dsl.component
def optional(given: Optional[str] = None, other: str = "default") -> str:
    return f"{given}/{other}"


@dsl.component
def items(number_of_items: int) -> List[int]:
    return list(range(1, number_of_items + 1))


@dsl.component
def flaky(path: str) -> str:
    import os

    attempts = os.path.getsize(path) if os.path.exists(path) else 0
    with open(path, "a") as out:
        out.write("x")
    if attempts < 2:
        raise RuntimeError(f"attempt {attempts + 1} fails on purpose")
    return f"attempt {attempts + 1}"


@dsl.component
def status_text(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state}/{status.pipeline_task_name}"


@dsl.container_component
def shell_lines(name: str, result: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", 'mkdir -p "$(dirname "$1")"; printf "hello %s" "$0" > "$1"'],
        args=[name, result],
    )


@dsl.pipeline(name="parameter-types")
def parameter_types(
    a_text: str = "ünïcode 'quoted' \"twice\" \\ {{x}} $HOME",
    an_int: int = 42,
    a_float: float = 2.5,
    a_bool: bool = False,
    a_list: List[int] = [1, 2, 3],
    a_dict: Dict[str, int] = {"a": 1},
) -> str:
    first = all_types(a_text=a_text, an_int=an_int, a_float=a_float, a_bool=a_bool, a_list=a_list, a_dict=a_dict)
    out = first.outputs
    second = all_types(
        a_text=out["a_text"],
        an_int=out["an_int"],
        a_float=out["a_float"],
        a_bool=out["a_bool"],
        a_list=out["a_list"],
        a_dict=out["a_dict"],
    )
    return second.outputs["a_text"]


@dsl.pipeline(name="artifact-passing")
def artifact_passing(content: str = "some bytes") -> str:
    made = write(content=content)
    return read(dataset=made.outputs["dataset"]).output


@dsl.pipeline(name="after-only")
def after_only():
    first = text(value="first")
    second = text(value="second").after(first)
    text(value="third").after(first, second)


@dsl.pipeline(name="inner")
def inner(start: int, step: int = 10) -> int:
    return add(left=add(left=start, right=step).output, right=1).output


@dsl.pipeline(name="middle")
def middle(start: int) -> int:
    return inner(start=inner(start=start).output).output


@dsl.pipeline(name="nested-pipelines")
def nested_pipelines(start: int = 1) -> int:
    return add(left=middle(start=start).output, right=inner(start=start, step=5).output).output


@dsl.pipeline(name="inner-optional")
def inner_optional(given: Optional[str] = None, other: str = "inner default") -> str:
    return optional(given=given, other=other).output


@dsl.pipeline(name="optional-inputs")
def optional_inputs(given: Optional[str] = None) -> str:
    optional()
    optional(given="set", other="too")
    inner_optional(given=given)
    return inner_optional(given="set").output


@dsl.pipeline(name="conditions")
def conditions(value: int = 7) -> str:
    seen = number(value=value)
    with dsl.If(seen.output > 10):
        big = text(value="big")
    with dsl.Elif(seen.output > 5):
        middling = text(value="middling")
    with dsl.Else():
        small = text(value="small")
    with dsl.If(seen.output == 99):
        skipped = text(value="never")
        text(value=skipped.output)
    return text(value=dsl.OneOf(big.output, middling.output, small.output)).output


@dsl.pipeline(name="static-loop")
def static_loop() -> int:
    with dsl.ParallelFor([1, 2, 3], parallelism=1) as item:
        doubled = add(left=item, right=item)
    return total(values=dsl.Collected(doubled.output)).output


@dsl.pipeline(name="dynamic-loop")
def dynamic_loop(number_of_items: int = 3) -> int:
    with dsl.ParallelFor(items(number_of_items=number_of_items).output) as item:
        doubled = add(left=item, right=item)
    return total(values=dsl.Collected(doubled.output)).output


@dsl.pipeline(name="empty-loop")
def empty_loop() -> int:
    with dsl.ParallelFor(items(number_of_items=0).output) as item:
        doubled = add(left=item, right=item)
    return count(values=dsl.Collected(doubled.output)).output


@dsl.pipeline(name="struct-loop")
def struct_loop():
    with dsl.ParallelFor([{"label": "a", "size": "1"}, {"label": "b", "size": "2"}]) as item:
        text(value=item.label)
        text(value=item.size)


@dsl.pipeline(name="nested-loops")
def nested_loops():
    with dsl.ParallelFor([1, 2]) as outer:
        with dsl.ParallelFor([10, 20]) as inner_item:
            summed = add(left=outer, right=inner_item)
            with dsl.If(summed.output > 20):
                number(value=summed.output)


@dsl.pipeline(name="collected-artifacts")
def collected_artifacts() -> str:
    with dsl.ParallelFor(["a", "b", "c"]) as item:
        made = write(content=item)
    return join(datasets=dsl.Collected(made.outputs["dataset"])).output


@dsl.pipeline(name="importing")
def importing(uri: str) -> str:
    imported = dsl.importer(artifact_uri=uri, artifact_class=Dataset, reimport=False, metadata={"origin": "outside"})
    return read(dataset=imported.output).output


_WORKSPACE = dsl.WorkspaceConfig(
    size="1Gi", kubernetes=dsl.KubernetesWorkspaceConfig(pvcSpecPatch={"accessModes": ["ReadWriteOnce"]})
)


@dsl.pipeline(name="importing-to-workspace", pipeline_config=dsl.PipelineConfig(workspace=_WORKSPACE))
def importing_to_workspace(uri: str) -> str:
    imported = dsl.importer(artifact_uri=uri, artifact_class=Dataset, download_to_workspace=True)
    return where(dataset=imported.output).output


@dsl.pipeline(name="retrying")
def retrying(path: str) -> str:
    return flaky(path=path).set_retry(num_retries=3, backoff_duration="0s").set_caching_options(False).output


@dsl.pipeline(name="exit-handler")
def exit_handler(message: str = "on purpose"):
    last = status_text()
    with dsl.ExitHandler(last):
        text(value="before")
        fail(message=message)


@dsl.pipeline(name="ignore-upstream-failure")
def ignore_upstream_failure():
    failed = fail(message="on purpose")
    optional(given=failed.output, other="carried on").ignore_upstream_failure()


@dsl.pipeline(name="siblings-go-on")
def siblings_go_on():
    failed = fail(message="on purpose")
    text(value=failed.output)
    text(value="independent")


@dsl.pipeline(name="shell-command")
def shell_command(name: str = "world") -> str:
    return text(value=shell_lines(name=name).outputs["result"]).output


@dsl.pipeline(name="embedded-text")
def embedded_text(name: str = "world") -> str:
    made = text(value=name)
    return text(value=f"hello {made.output}, from {name}!").output


PIPELINES = {
    "parameter_types": parameter_types,
    "artifact_passing": artifact_passing,
    "after_only": after_only,
    "nested_pipelines": nested_pipelines,
    "optional_inputs": optional_inputs,
    "conditions": conditions,
    "static_loop": static_loop,
    "dynamic_loop": dynamic_loop,
    "empty_loop": empty_loop,
    "struct_loop": struct_loop,
    "nested_loops": nested_loops,
    "collected_artifacts": collected_artifacts,
    "importing": importing,
    "importing_to_workspace": importing_to_workspace,
    "retrying": retrying,
    "exit_handler": exit_handler,
    "ignore_upstream_failure": ignore_upstream_failure,
    "siblings_go_on": siblings_go_on,
    "shell_command": shell_command,
    "embedded_text": embedded_text,
}
