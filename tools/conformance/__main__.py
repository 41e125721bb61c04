"""Runs every pipeline of a corpus and reports which had the expected result.

Starts its own `penstock up` with a data directory of its own. A corpus is a directory with an `index.json`.

Example: python -m tools.conformance --corpus tests/pipelines --only nested
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click

from tools.conformance.index import IndexError_, Put, load, put_file
from tools.conformance.runner import Result, Runner
from tools.embedded import Embedded


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--corpus", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory of a corpus."
)
@click.option(
    "--backend",
    type=click.Choice(["local", "container", "kubernetes"]),
    default="local",
    show_default=True,
    help="Where tasks run; kubernetes is the cluster of KUBECONFIG, whose image of ours PENSTOCK_IMAGE names.",
)
@click.option("--namespace", default="", help="Namespace with what the pipelines expect; one is made unless given.")
@click.option("--only", default="", help="Only cases whose name contains this.")
@click.option("--skip", multiple=True, help="Leave out this case, say because its packages are not to be had here.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Only every N-th case, as a sample.")
@click.option("--skip-slow", is_flag=True, help="Leave out what the index marks as slow.")
@click.option("--at-once", type=click.IntRange(1, 64), default=6, show_default=True, help="Runs at the same time.")
@click.option("--timeout", type=click.FloatRange(min=1), default=900.0, show_default=True, help="Seconds for a run.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/conformance.json"), show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Keep the data there (else temporary).")
def main(
    corpus: Path,
    backend: str,
    namespace: str,
    only: str,
    skip: tuple[str, ...],
    every: int,
    skip_slow: bool,
    at_once: int,
    timeout: float,
    report: Path,
    data_dir: Path | None,
) -> None:
    try:
        index = load(corpus)
    except IndexError_ as error:
        raise click.UsageError(str(error)) from error
    cases = [one for one in index.cases if backend in one.runs_on and only in one.name and one.name not in skip]
    if skip_slow:
        cases = [one for one in cases if not one.record.get("slow")]
    cases = cases[::every]
    uploads = [one for one in index.uploads if only in one.name]
    if not cases and not uploads:
        raise click.UsageError(f"nothing in {corpus} fits")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(_directory(data_dir))
        scratch = directory / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        up, put = stack.enter_context(_penstock(backend, directory, scratch, namespace))
        runner = Runner(up, scratch, put, timeout)
        results: list[Result] = []
        with ThreadPoolExecutor(at_once) as pool:
            waiting = [pool.submit(runner.upload, one) for one in uploads]
            waiting += [pool.submit(runner.run, one) for one in cases]
            for done in as_completed(waiting):
                results.append(done.result())
                _show(results[-1], len(results), len(waiting))
        runner.close()
    sys.exit(_conclude(sorted(results, key=lambda one: one.name), corpus, backend, report))


@contextlib.contextmanager
def _penstock(backend: str, directory: Path, scratch: Path, namespace: str) -> Iterator[tuple[Embedded, Put]]:
    """A Penstock whose tasks all see `scratch`: pipelines count their tries in files there."""
    if backend == "container":
        shared = f"--container-option=--volume={scratch}:{scratch}"
        with Embedded(directory, "--backend", backend, "--parallelism", "8", shared) as server:
            yield server, put_file(scratch)
        return
    if backend == "local":
        environment = {"PATH": _path_with_shell(directory)}
        with Embedded(directory, "--backend", backend, "--parallelism", "8", environment=environment) as server:
            yield server, put_file(scratch)
        return
    # Imported here: only a cluster needs its client.
    from tools.cluster import Cluster
    from tools.conformance.cluster_scratch import put_object, shared_by_pods
    from tools.kube_penstock import surroundings

    with (
        Cluster() as cluster,
        surroundings(cluster, directory, namespace=namespace) as around,
        # Before the executor reads the settings of the namespace.
        shared_by_pods(cluster, around.namespace, scratch),
        Embedded(directory, "--backend", "kubernetes", environment=around.environment) as up,
    ):
        yield up, put_object(around.store)


def _show(result: Result, done: int, total: int) -> None:
    verdict = "ok  " if result.passed else "FAIL"
    click.echo(f"[{done:3}/{total}] {verdict} {result.seconds:6.1f} s  {result.name}")
    for problem in result.problems:
        click.echo(f"            {problem}")


def _conclude(results: list[Result], corpus: Path, backend: str, report: Path) -> int:
    failed = [one for one in results if not one.passed]
    report.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "corpus": corpus.name,
        "backend": backend,
        "at": int(time.time()),
        "passed": len(results) - len(failed),
        "failed": len(failed),
        "results": [
            {
                "name": one.name,
                "passed": one.passed,
                "seconds": round(one.seconds, 2),
                "problems": one.problems,
                "outcome": one.outcome,
            }
            for one in results
        ],
    }
    report.write_text(json.dumps(document, indent=2) + "\n")
    click.echo(f"report: {report}")
    for one in failed:
        click.echo(f"FAILED {one.name}: {one.problems[0]}")
    click.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _path_with_shell(directory: Path) -> str:
    """PATH on which `sh` is bash: images of the corpus have a sh that knows `[[`, hosts often have none."""
    import os

    path = os.environ.get("PATH", os.defpath)
    bash = shutil.which("bash")
    if bash is None:
        return path
    tools = directory / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (tools / "sh").symlink_to(bash)
    return f"{tools}{os.pathsep}{path}"


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="penstock-conformance-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    main()
