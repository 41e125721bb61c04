"""Compiles every pipeline here into compiled/. Run it with the kfp SDK of the development environment."""

import pathlib
import sys

from kfp import compiler

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import corners  # noqa: E402
import language  # noqa: E402
import values  # noqa: E402
import wine_quality  # noqa: E402

if __name__ == "__main__":
    target = HERE / "compiled"
    target.mkdir(exist_ok=True)
    for name, pipeline in {
        **language.PIPELINES,
        **corners.PIPELINES,
        **values.PIPELINES,
        "wine_quality": wine_quality.wine_quality,
    }.items():
        compiler.Compiler().compile(pipeline, str(target / f"{name}.yaml"))
        print(name)
