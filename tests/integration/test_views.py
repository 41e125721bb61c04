"""File system views: what a task writes to its inputs does not reach the store, with and without privileges."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from penstock_executor.backends.local.connection import PROGRAM
from penstock_executor.backends.local.views import Overlay, View, overlay_outside
from penstock_executor.backends.trees import remove_tree

from tools import debian

# In a process of its own, since nobody can leave a view.
ENTER = """
import importlib.util, json, os, sys
spec = importlib.util.spec_from_file_location("fork_server", sys.argv[1])
fork_server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fork_server)
fork_server.enter_view(json.loads(sys.argv[2]))
os.execvp("sh", ["sh", "-ec", sys.argv[3]])
"""


def users() -> Sequence[int]:
    """Whoever runs this, and somebody without privileges when that can be tried."""
    return (0, 65534) if os.getuid() == 0 else (os.getuid(),)


def python_of(user: int) -> str:
    """Ours may lie where only its owner may go."""
    if user == os.getuid():
        return sys.executable
    return str(debian.require("/usr/bin/python3"))


def in_view(view: View, script: str, user: int, within: Sequence[str] = ()) -> str:
    command = [*within, python_of(user), "-I", "-c", ENTER, str(program_for(view)), json.dumps(view.message()), script]
    # Names of users only where another one is meant: only root may change.
    other = {"user": user, "group": user, "extra_groups": []} if user != os.getuid() else {}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **other)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return done.stdout


def program_for(view: View) -> Path:
    """A copy that everybody may read."""
    copy = view.overlays[0].lower.parent / "fork_server.py"
    if not copy.exists():
        shutil.copy(PROGRAM, copy)
    return copy


@pytest.fixture(params=users(), ids=lambda user: f"user {user}")
def user(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def place(user: int) -> Iterator[Path]:
    # pytest's own directories are for one user alone.
    directory = Path(tempfile.mkdtemp(prefix="penstock-view-"))
    directory.chmod(0o755)
    for name in ("root/run/task", "root/other", "scratch"):
        (directory / name).mkdir(parents=True)
    (directory / "root" / "other" / "data").write_text("original")
    subprocess.run(["chown", "-R", f"{user}:{user}", str(directory)], check=True)
    yield directory
    remove_tree(directory)


def test_what_is_written_stays_in_the_view(place: Path, user: int) -> None:
    root = place / "root"
    view = View((Overlay(root, root, place / "scratch"),), (root / "run" / "task",))
    script = (
        f"cd {root}; echo spoilt >> other/data; cat other/data; echo new > other/new; rm -r other; "
        "echo out > run/task/out"
    )
    assert in_view(view, script, user).split() == ["originalspoilt"]
    assert (root / "other" / "data").read_text() == "original"
    assert (root / "run" / "task" / "out").read_text() == "out\n"
    assert sorted(one.name for one in root.rglob("*")) == ["data", "other", "out", "run", "task"]


def test_directories_of_an_input_are_renamed(place: Path, user: int) -> None:
    """At once, as everywhere, and not by a copy; in a user namespace the kernel refuses it (architecture.md)."""
    root = place / "root"
    view = View((Overlay(root, root, place / "scratch"),))
    rename = f"import os; os.chdir('{root}'); os.rename('other', 'renamed'); print(open('renamed/data').read())"
    said = in_view(view, f'{python_of(user)} -I -c "{rename}" 2>&1 || true', user)
    if user == 0:
        assert said == "original\n"
    else:
        assert "OSError: [Errno 18]" in said
    assert sorted(one.name for one in root.iterdir()) == ["other", "run"]


def test_root_of_a_user_namespace(place: Path, user: int) -> None:
    """As in a container without privileges: mounts are allowed, not all that they can do."""
    root = place / "root"
    view = View((Overlay(root, root, place / "scratch"),))
    script = f"echo spoilt >> {root}/other/data; cat {root}/other/data"
    assert in_view(view, script, user, ["unshare", "--user", "--map-root-user"]) == "originalspoilt\n"
    assert (root / "other" / "data").read_text() == "original"


def test_what_is_written_is_kept_in_memory(place: Path, user: int) -> None:
    root = place / "root"
    before = sorted(root.rglob("*"))
    script = f"cd {root}/other; echo more >> data; rm -r ../run; echo new > ../new; cat data ../new; ls .."
    assert in_view(View((Overlay(root, root, None),)), script, user).split() == [
        *("originalmore", "new"),
        *("new", "other"),
    ]
    assert (root / "other" / "data").read_text() == "original"
    assert sorted(root.rglob("*")) == before


def test_strange_names(place: Path, user: int) -> None:
    """Commas, colons and backslashes mean something to an overlay."""
    root = place / "a,b:c\\d e"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "data").write_text("original")
    subprocess.run(["chown", "-R", f"{user}:{user}", str(root)], check=True)
    view = View((Overlay(root, root, place / "scratch"),))
    assert in_view(view, f"echo x > '{root}/inner/data'; cat '{root}/inner/data'", user) == "x\n"
    assert (root / "inner" / "data").read_text() == "original"


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_lies_outside(place: Path, user: int, kind: str) -> None:
    source = place / "root" / "other" / "data"
    if kind == "directory":
        source = source.parent
    elif kind == "link":
        (place / "link").symlink_to(source)
        source = place / "link"
    found = overlay_outside(source, place / "input", place / "scratch", place / "work")
    assert found is not None
    subprocess.run(["chown", "-R", "-h", f"{user}:{user}", str(place / "input")], check=True)
    overlay, shown = found
    assert shown.name == source.name
    data = shown / "data" if kind == "directory" else shown
    assert in_view(View((overlay,)), f"echo x >> {data}; cat {data}", user) == "originalx\n"
    assert (place / "root" / "other" / "data").read_text() == "original"


def test_what_cannot_be_shown_is_copied(place: Path) -> None:
    """A directory above the one that tasks work in: what they write would lie in what they see."""
    assert overlay_outside(place, place / "x" / "input", place / "x" / "scratch", place / "x") is None
