"""The same pipelines under `kfp.local` and under Penstock, side by side: states and outputs.

Every difference has to be explained in tests/pipelines/beside.json; one that is not, or an explanation of none, is an
error. Writes docs/kfp-local.md.

Example: python -m tools.beside
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from rich.progress import track

from tools.bench.bench_local import peer_environment
from tools.conformance.index import argument, put_file
from tools.embedded import Embedded
from tools.testing import runs

HERE = Path(__file__).parent
PIPELINES = Path("tests/pipelines")
EXPLANATIONS = PIPELINES / "beside.json"
TABLE = Path("docs/kfp-local.md")
# One of those that are known to differ never ends; the others do, on a busy machine late.
_SECONDS_OF_DIFFERENT, _SECONDS = 60, 600
_HEAD = """# kfp.local and Penstock, side by side

The pipelines of `tests/pipelines/`, compiled by the same SDK, run by `kfp.local` (kfp 2.17.0,
`SubprocessRunner(use_venv=False)`) and by `penstock up` on the same machine. Made by `make beside`, which fails on a
difference that is not explained here.

| pipeline | kfp.local | Penstock | why |
|---|---|---|---|
"""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", default="", help="Only pipelines whose name contains this.")
def main(only: str) -> None:
    records = [one for one in json.loads((PIPELINES / "index.json").read_text())["pipelines"] if only in one["name"]]
    explanations: dict[str, str] = json.loads(EXPLANATIONS.read_text())
    lines, wrong = [], []
    with tempfile.TemporaryDirectory(prefix="penstock-beside-") as name:
        directory = Path(name)
        python = peer_environment()
        with ThreadPoolExecutor(2) as pool, Embedded(directory / "data") as up, Client(up.grpc) as client:
            peers = {
                one["name"]: pool.submit(
                    _under_kfp_local,
                    python,
                    one,
                    directory,
                    _SECONDS_OF_DIFFERENT if one["name"] in explanations else _SECONDS,
                )
                for one in records
            }
            for record in track(records, "comparing", disable=not sys.stdout.isatty()):
                title = record["name"]
                theirs, ours = peers[title].result(), _under_penstock(client, record, directory)
                same = theirs["state"] == ours["state"] and _equal(theirs["outputs"], ours["outputs"])
                why = explanations.get(title, "")
                if same == bool(why):
                    wrong.append(f"{title}: kfp.local {theirs}, Penstock {ours}, explained as {why!r}")
                lines.append(f"| `{title}` | {_shown(theirs)} | {_shown(ours)} | {why or 'the same'} |")
    if not only:
        TABLE.write_text(_HEAD + "\n".join(lines) + "\n")
    for line in wrong:
        click.echo(line)
    click.echo(f"{len(records)} pipelines, {len(wrong)} differences or explanations that do not fit")
    sys.exit(1 if wrong else 0)


def _under_kfp_local(python: Path, record: dict[str, Any], directory: Path, seconds: float) -> dict[str, Any]:
    root = directory / "kfp-local" / record["name"]
    parameters = json.dumps(_arguments(record, directory))
    file = str((PIPELINES / record["file"]).absolute())
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    try:
        done = subprocess.run(
            [str(python), "-W", "ignore", str(HERE / "kfp_local.py"), file, str(root), parameters],
            env=environment,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return {"state": "ENDLESS", "outputs": {}, "error": f"not over after {seconds:g} s"}
    try:
        result: dict[str, Any] = json.loads(done.stderr.strip().splitlines()[-1])
    except (ValueError, IndexError):
        result = {"state": "REFUSED", "outputs": {}, "error": done.stderr.strip()[-300:]}
    return result


def _under_penstock(client: Client, record: dict[str, Any], directory: Path) -> dict[str, Any]:
    spec = _document(PIPELINES / record["file"])
    parameters = _arguments(record, directory)
    run_id = runs.start(client, spec, parameters, name=record["name"])
    run = runs.finished(client, run_id)
    from google.protobuf import json_format

    outputs = json_format.MessageToDict(runs.tasks(client, run_id)[""].outputs)
    return {"state": run_pb2.RuntimeState.Name(run.state), "outputs": outputs, "error": run.error.message}


def _arguments(record: dict[str, Any], directory: Path) -> dict[str, Any]:
    return {name: argument(value, directory, put_file(directory)) for name, value in record["parameters"].items()}


def _document(file: Path) -> dict[str, Any]:
    from penstock import documents

    return documents.load(file)


def _equal(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return {key: value for key, value in left.items() if value != "(artifact)"} == right


def _shown(result: dict[str, Any]) -> str:
    text = result["state"]
    outputs = result["outputs"]
    if outputs:
        value = json.dumps(outputs.get("Output", outputs), ensure_ascii=False)
        text += f" `{value if len(value) <= 60 else value[:57] + '...'}`".replace("|", "\\|")
    return text


if __name__ == "__main__":
    main()
