"""Artifacts made, read and imported by components of an SDK before 2.5: `python pipeline.py FILE` under that SDK.

What test_old_sdks.py runs was compiled so; the SDK's version is in the file's name.
"""

import sys

from kfp import compiler, dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output


@dsl.component(base_image="python:3.11")
def make(text: str, made: Output[Dataset]):
    with open(made.path, "w") as file:
        file.write(text)
    made.metadata["length"] = len(text)


@dsl.component(base_image="python:3.11")
def train(made: Input[Dataset], imported: Input[Artifact], model: Output[Model]):
    import os

    os.makedirs(model.path)
    for name, source in (("made", made), ("imported", imported)):
        with open(source.path) as read, open(os.path.join(model.path, name), "w") as write:
            write.write(read.read())


@dsl.component(base_image="python:3.11")
def use(model: Input[Model]) -> str:
    import os

    return " ".join(open(os.path.join(model.path, name)).read() for name in ("made", "imported"))


@dsl.pipeline(name="old-sdk")
def pipeline(imported: str, text: str = "made"):
    brought = dsl.importer(artifact_uri=imported, artifact_class=Artifact)
    made = make(text=text)
    trained = train(made=made.outputs["made"], imported=brought.output)
    use(model=trained.outputs["model"])


if __name__ == "__main__":
    compiler.Compiler().compile(pipeline, sys.argv[1])
