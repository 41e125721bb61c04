"""The pipelines that both sides run, compiled by the SDK or called by `kfp.local`."""

from kfp import dsl

CHAIN, FAN_OUT = 20, 100


@dsl.component
def step(number: int) -> int:
    return number + 1


@dsl.component
def hello():
    print("hello")


@dsl.pipeline(name="bench-chain")
def chain() -> int:
    last = step(number=0)
    for _ in range(CHAIN - 1):
        last = step(number=last.output)
    return last.output


@dsl.pipeline(name="bench-fan-out")
def fan_out():
    for number in range(FAN_OUT):
        step(number=number)


@dsl.pipeline(name="bench-single")
def single() -> int:
    return step(number=1).output
