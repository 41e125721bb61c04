"""Isolation of local tasks: each has its own packages, inputs, home directory and environment variables."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_executor.backends.local.views import why_no_view

from tests.support.wheels import wheel
from tools.embedded import Embedded
from tools.testing import runs, specs

SECRET = "PENSTOCK_TEST_SECRET"
INPUT = "{{$.inputs.artifacts['given'].path}}"
OUTPUT = "{{$.outputs.parameters['answer'].output_file}}"

# Changes a package in place; prints whether it was before, and is after, for other processes of the task.
CHANGES = """
import subprocess, sys, {package}
def changed():
    look = "import {package}; print(getattr({package}, 'changed', False))"
    return subprocess.check_output([sys.executable, "-c", look], text=True).strip()
def change():
    before = changed()
    with open({package}.__file__, "a") as file:
        file.write("\\nchanged = True\\n")
    return f"{{before}} {{changed()}}"
"""
LIGHTWEIGHT = [
    *("sh", "-c"),
    '\nif ! [ -x "$(command -v pip)" ]; then\n'
    "    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\n"
    "PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --no-warn-script-location 'kfp==2.17.0' "
    '\'--no-deps\' && "$0" "$@"\n',
    *("sh", "-ec"),
    'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path "
    '"$program_path/ephemeral_component.py" "$@"\n',
    CHANGES.format(package="kfp")
    + """
from kfp.dsl import OutputPath
def component(answer: OutputPath(str)):
    with open(answer, "w") as out:
        out.write(change())
""",
    *("--executor_input", "{{$}}", "--function_to_execute", "component"),
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheels")
    for version in ("0.5", "0.6"):
        wheel(directory, "only_here", version)
    return directory


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Iterator[Embedded]:
    environment = {
        SECRET: "not for tasks",
        "HANDED_ON": "for tasks",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
    }
    data = tmp_path_factory.mktemp("isolation") / "data"
    with Embedded(data, "--parallelism", "4", "--pass-env", "HANDED_ON", environment=environment) as embedded:
        yield embedded


@pytest.fixture(scope="module")
def alone(machine: Embedded) -> Iterator[Client]:
    with Client(machine.grpc) as made:
        yield made


def answer(client: Client, script: str, *, image: str = "python:3.11") -> str:
    """What the shell script, as a task of a run of its own, prints to its output parameter."""
    (said,) = answers(client, {"only": script})
    return said


def answers(client: Client, scripts: Mapping[str, str]) -> list[str]:
    """Of several, which start together."""
    ids = []
    for script in scripts.values():
        command = ["sh", "-c", f'set -e; mkdir -p "$(dirname "$0")"; {{ {script}\n}} > "$0"', OUTPUT]
        ids.append(runs.start(client, specs.container(command, outputs=["answer"])))
    said = []
    for run_id in ids:
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED, runs.tasks(client, run_id)["only"].error
        said.append(runs.outputs(client, run_id, "only")["answer"].strip())
    return said


def install(version: str, how: str = "pip") -> str:
    return f"{how} install --quiet only-here=={version} >&2; python -c 'import only_here; print(only_here.version)'"


def test_what_a_task_installs_is_there_for_that_task_alone(alone: Client) -> None:
    versions = ["0.5", "0.6", "0.5", "0.6"]
    assert answers(alone, {str(n): install(version) for n, version in enumerate(versions)}) == versions
    assert answer(alone, "python -c 'import only_here' 2>&1 || true").endswith("No module named 'only_here'")


@pytest.mark.parametrize(
    "how", ["pip", "pip3", "python -m pip", "python3 -m pip", f"pip{sys.version_info[0]}.{sys.version_info[1]}"]
)
def test_pip_by_every_name(alone: Client, how: str) -> None:
    assert answer(alone, install("0.6", how)) == "0.6"


def test_scripts_of_what_is_installed_run(alone: Client) -> None:
    assert answer(alone, "pip install --quiet only-here==0.5 >&2; only_here") == "0.5"


def test_another_version_replaces_the_first(alone: Client) -> None:
    script = (
        f"{install('0.5')}; {install('0.6')}; pip uninstall --quiet -y only-here >&2; pip list | grep -c only || true"
    )
    assert answer(alone, script).split() == ["0.5", "0.6", "0"]


@pytest.mark.parametrize("options", ["", "--system-site-packages"])
def test_an_environment_inside_of_it(alone: Client, options: str) -> None:
    """With the packages of the system it has those of the task, as in a container."""
    script = (
        f"pip install --quiet only-here==0.5 >&2; python -m venv {options} inner >&2; . inner/bin/activate; "
        "python -c 'import sys; print(sys.prefix.endswith(\"inner\"))'; "
        "python -c 'import only_here; print(only_here.version)' || true; "
        "pip install --quiet --ignore-installed only-here==0.6 >&2; "
        "python -c 'import only_here; print(only_here.version)'; "
        "deactivate; python -c 'import only_here; print(only_here.version)'"
    )
    assert answer(alone, script).split() == ["True", *(["0.5"] if options else []), "0.6", "0.5"]


def test_home_and_temporary_files_are_its_own(alone: Client) -> None:
    places = answers(alone, dict.fromkeys("ab", 'echo x > ~/here; echo x > "$(mktemp)"; echo "$HOME" "$TMPDIR"; ls ~'))
    (home, temporary, *found), (other_home, other_temporary, *other_found) = [one.split() for one in places]
    assert found == other_found == ["here"]
    assert len({home, temporary, other_home, other_temporary}) == 4
    assert str(Path.home()) not in (home, other_home)
    # Programs make sockets there, such as multiprocessing's.
    assert len(temporary) < 70
    runs.until(lambda: [place for place in (home, temporary) if Path(place).exists()], lambda left: not left)


def test_the_servers_variables_are_not_the_tasks(alone: Client) -> None:
    shown = dict(line.split("=", 1) for line in answer(alone, "env").splitlines() if "=" in line)
    assert SECRET not in shown
    assert shown["HANDED_ON"] == "for tasks"
    ours = {name for name in shown if name.startswith(("PENSTOCK_", "PYTHON", "GRPC_"))}
    assert ours == {"PENSTOCK_TASK_PYTHON", "PYTHONUNBUFFERED", "PYTHONUSERBASE"}


def test_what_it_leaves_running_ends_with_it(alone: Client) -> None:
    script = "setsid sh -c 'trap \"\" TERM HUP; while true; do sleep 0.1; done' > /dev/null 2>&1 < /dev/null & echo $!"
    pid = int(answer(alone, script))
    runs.until(
        lambda: psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE, lambda there: not there
    )


def test_the_file_of_an_importer_stays(alone: Client, tmp_path: Path) -> None:
    file, directory = tmp_path / "own.csv", tmp_path / "own"
    file.write_text("original")
    directory.mkdir()
    (directory / "inner.csv").write_text("original")
    for stored, path in ((file, "own.csv"), (directory, "own/inner.csv")):
        script = (
            'test "$(basename "$0")" = ' + path.split("/")[0] + '; cd "$(dirname "$0")"; echo spoilt >> ' + path
            + "; rm -f " + path + "; echo other > " + path + "; cat " + path
        )  # fmt: skip
        run = runs.finished(alone, runs.start(alone, specs.imported(stored.as_uri(), ["sh", "-ec", script, INPUT])))
        assert run.state == run_pb2.SUCCEEDED, runs.tasks(alone, run.run_id)
    assert file.read_text() == (directory / "inner.csv").read_text() == "original"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["own", "own.csv"]
    assert file.stat().st_nlink == 1


def test_what_it_writes_into_a_package_is_there_for_that_task_alone(alone: Client) -> None:
    script = f"cat > change.py <<'END'\n{CHANGES.format(package='pip')}\nprint(change())\nEND\npython change.py"
    assert [answer(alone, script) for _ in range(2)] == ["False True", "False True"]


def test_what_a_lightweight_component_writes_into_a_package_is_there_for_it_alone(tmp_path: Path) -> None:
    """Also what the process it was forked from has imported."""
    with Embedded(tmp_path / "data") as embedded, Client(embedded.grpc) as client:
        for _ in range(2):
            run = runs.finished(client, runs.start(client, specs.container(LIGHTWEIGHT, outputs=["answer"])))
            assert run.state == run_pb2.SUCCEEDED, runs.tasks(client, run.run_id)["only"].error
            assert runs.outputs(client, run.run_id, "only")["answer"] == "False True"


@pytest.mark.parametrize("overlays", [True, False])
async def test_inputs_are_its_own(tmp_path: Path, overlays: bool, environments: Path) -> None:
    """Also where they are copied, as when tasks work below the artifact root."""
    data = tmp_path / "data"
    (root := data if not overlays else data / "artifacts").mkdir(parents=True)
    assert bool(await why_no_view(sys.executable, root, data / "work")) is not overlays
    options = [] if overlays else ["--artifacts", str(root)]
    with Embedded(data, *options, environments=environments) as embedded, Client(embedded.grpc) as client:
        spec = specs.compiled("inputs_changed_in_place")
        for _ in range(2):
            # The second time from the cache.
            run = runs.finished(client, runs.start(client, spec))
            assert run.state == run_pb2.SUCCEEDED, runs.tasks(client, run.run_id)
            found = runs.outputs(client, run.run_id, "contents")["Output"]
            assert found == "original; changed: original; kept: original; removed: original"


def test_an_environment_is_not_made_for_a_task_that_is_terminated(tmp_path: Path) -> None:
    """A package index that never answers holds nobody."""
    with (
        socket.create_server(("127.0.0.1", 0)) as index,
        Embedded(tmp_path / "data") as own,
        Client(own.grpc) as client,
    ):
        address = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        script = (
            '\nif ! [ -x "$(command -v pip)" ]; then\n'
            "    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\n"
            f"PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --index-url {address} 'kfp==2.17.0'"
            ' && "$0" "$@"\n'
        )
        program = (
            'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
            "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path "
            '"$program_path/ephemeral_component.py" "$@"\n'
        )
        spec = specs.container(["sh", "-c", script, "sh", "-ec", program, "def never(): ..."])
        ids = [runs.start(client, spec) for _ in range(10)]
        index.settimeout(60)
        connection, _ = index.accept()
        why = insight_pb2.ExplainTaskRequest(run_id=ids[0], task="only")
        runs.until(
            lambda: client.call(client.insight.ExplainTask, why).summary,
            lambda text: "its packages are being installed" in text and "kfp==2.17.0" in text,
        )
        for run_id in ids:
            client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
        for run_id in ids:
            assert "terminated" in runs.finished(client, run_id, timeout=20).error.message
        installers = [
            one for one in psutil.Process(own.process.pid).children(recursive=True) if one.name() == "uv"
        ] if own.process else []  # fmt: skip
        runs.until(lambda: [one for one in installers if one.is_running()], lambda left: not left)
        connection.close()


def test_another_python_does_not_see_what_is_cached(alone: Client) -> None:
    """Its pip would take the packages of all tasks for its own."""
    script = (
        "base=$(python -c 'import sys; print(sys._base_executable)'); "
        "python -c 'import sys; print(sum(\"environments\" in path for path in sys.path) > 0)'; "
        '"$base" -c \'import sys; print(sum("environments" in path for path in sys.path))\''
    )
    assert answer(alone, script).split() == ["True", "0"]


def test_pip_without_variables(alone: Client) -> None:
    script = 'env -i PATH="$PATH" PIP_NO_INDEX=1 PIP_FIND_LINKS="$PIP_FIND_LINKS" '
    assert answer(alone, f"{script} {install('0.5')}") == "0.5"


def test_what_follows_links_comes_to_an_end(alone: Client) -> None:
    script = "python -c 'import glob, sys; print(len(glob.glob(sys.prefix + \"/**/*\", recursive=True)) < 100)'"
    assert answer(alone, script) == "True"


@pytest.mark.parametrize("place", ["$VIRTUAL_ENV/pyvenv.cfg", "$(dirname $(dirname $(dirname $0)))/log"])
def test_a_pipe_in_place_of_a_file_holds_nobody(alone: Client, machine: Embedded, place: str) -> None:
    """A task may put anything where something of ours was."""
    if place.endswith("log"):
        root = machine.data_dir / "artifacts"
        script = f"log=$(readlink /proc/self/fd/2); case $log in {root}/*) rm $log; mkfifo $log;; esac; exit 3"
    else:
        script = f"rm {place}; mkfifo {place}"
    run = runs.finished(alone, runs.start(alone, specs.container(["sh", "-c", script])))
    assert run.state == (run_pb2.FAILED if "exit 3" in script else run_pb2.SUCCEEDED)
    assert answers(alone, dict.fromkeys("ab", "echo on")) == ["on", "on"]


@pytest.mark.parametrize(
    "leaves",
    [
        "setsid sh -c 'setsid sleep 1000 & echo $!; wait' 2> /dev/null & while [ ! -s \"$0\" ]; do sleep 0.05; done",
        "env -i setsid sleep 1000 2> /dev/null < /dev/null & echo $!",
        # Orphaned at once, by a process that forks and never runs another program.
        "python -c 'import os, time; pid = os.fork(); pid or (os.setsid(), time.sleep(1000)); print(pid)'",
    ],
)
def test_what_it_leaves_running_ends_also_beside_others(alone: Client, tmp_path: Path, leaves: str) -> None:
    """Two sessions deep, without its environment, while another task of the same kind runs."""
    gate = tmp_path / "gate"
    other = runs.start(alone, specs.container(["sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done"]))
    runs.until(lambda: runs.tasks(alone, other)["only"].state, lambda state: state == "RUNNING")
    pid = int(answer(alone, leaves))
    try:
        runs.until(lambda: psutil.pid_exists(pid), lambda there: not there, 20)
    finally:
        gate.touch()
        runs.finished(alone, other)


def test_what_it_leaves_running_goes_on_while_it_does(alone: Client, tmp_path: Path) -> None:
    """Also when another task of the same kind ends."""
    gate, said = tmp_path / "gate", tmp_path / "said"
    background = f"while [ ! -e {gate} ]; do sleep 0.05; done; echo alive > {said}"
    script = f"(setsid sh -c '{background}' &); while [ ! -e {said} ]; do sleep 0.05; done"
    run_id = runs.start(alone, specs.container(["sh", "-c", script]))
    runs.until(lambda: runs.tasks(alone, run_id)["only"].state, lambda state: state == "RUNNING")
    assert answer(alone, "echo other") == "other"
    gate.touch()
    assert runs.finished(alone, run_id, timeout=30).state == run_pb2.SUCCEEDED
