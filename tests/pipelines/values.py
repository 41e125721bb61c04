"""Values on their way through a pipeline: numbers with all their digits, what is no number, items of loops in loops."""

from typing import Dict, List

from corners import describe, make_datasets, show
from kfp import dsl
from language import add, items, number, read, text


@dsl.component
def stamped() -> Dict[str, List[int]]:
    return {"ts": [1732752000000000000, 2**53 + 1], "deep": [[{"n": -(2**53) - 1}]]}


@dsl.component
def not_a_number() -> List[float]:
    return [1.0, float("nan"), float("-inf")]


@dsl.component
def infinity_inside() -> dict:
    return {"losses": [{"best": float("inf")}]}


@dsl.component
def no_number() -> float:
    return float("nan")


@dsl.component
def no_number_in_metrics(metrics: dsl.Output[dsl.Metrics]):
    metrics.log_metric("loss", float("nan"))


@dsl.pipeline(name="numbers-in-structures")
def numbers_in_structures(
    d: dict = {"ts": 1732752000000000000},  # noqa: B006
    l: list = [1732752000000000000, 2, 0.5],  # noqa: B006, E741
    n: int = 1732752000000000000,
) -> str:
    given = text(value=f"{describe(value=d).output} {show(values=l).output} {n} {d} {l}")
    made = stamped().output
    with dsl.ParallelFor([{"ts": 1732752000000000000}, {"ts": 5}]) as item:
        again = number(value=item.ts)
    seen = show(values=dsl.Collected(again.output))
    return text(value=f"{given.output}; {describe(value=made).output}; {seen.output}").output


@dsl.pipeline(name="no-numbers")
def no_numbers():
    text(value="after").after(not_a_number())
    infinity_inside()
    no_number()
    no_number_in_metrics()


@dsl.pipeline(name="loop-over-the-same-input")
def loop_over_the_same_input(numbers: List[int] = [1, 2]) -> str:  # noqa: B006
    # The SDK gives the items of both loops one name, so the outer one is handed in by a task.
    with dsl.ParallelFor(numbers) as outer:
        left = number(value=outer)
        with dsl.ParallelFor(numbers) as right:
            summed = add(left=left.output, right=right)
    return show(values=dsl.Collected(summed.output)).output


@dsl.pipeline(name="loop-over-the-same-output")
def loop_over_the_same_output() -> str:
    made = items(number_of_items=2)
    with dsl.ParallelFor(made.output, parallelism=1) as first:
        one, whole = number(value=first), show(values=made.output)
        with dsl.ParallelFor(made.output) as second:
            two = add(left=one.output, right=second)
            with dsl.ParallelFor(made.output) as third:
                said = text(value=f"{two.output}+{third} of {whole.output}")
    return show(values=dsl.Collected(said.output)).output


@dsl.pipeline(name="loop-over-the-same-artifacts")
def loop_over_the_same_artifacts() -> str:
    made = make_datasets(contents=["a", "b"])
    with dsl.ParallelFor(made.output) as outer:
        left = read(dataset=outer)
        with dsl.ParallelFor(made.output) as inner:
            joined = text(value=f"{left.output}{read(dataset=inner).output}")
    return show(values=dsl.Collected(joined.output)).output


PIPELINES = {
    "numbers_in_structures": numbers_in_structures,
    "no_numbers": no_numbers,
    "loop_over_the_same_input": loop_over_the_same_input,
    "loop_over_the_same_output": loop_over_the_same_output,
    "loop_over_the_same_artifacts": loop_over_the_same_artifacts,
}
