"""What users and tasks wrote never commands a terminal, nor passes for another line of a log."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import penstock.cli
import pytest
from penstock import render
from penstock.cli.common import print_chunks, print_document, print_table, say
from penstock.terminal_text import LineFormatter, one_line, printable, printable_chunks, printable_json
from penstock_api.v1 import insight_pb2

# The screen is cleared; the title is set; the same in one character; text from right to left; over what was there.
EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x9b2Jd\u202eexe.txt\u2066e\rf\x08\x7fg"
SHOWN = r"a\x1b[2Jb\x1b]0;title\x07c\x9b2Jd\u202eexe.txt\u2066e\rf\x08\x7fg"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable(EVIL) == one_line(EVIL) == SHOWN
    assert printable("Zürich 東京 🙂\n\tline") == "Zürich 東京 🙂\n\tline"
    assert one_line("one\nother\u2028\x85") == r"one\nother\u2028\x85"
    assert printable("\ud800") == r"\ud800"


def test_json_means_the_same() -> None:
    document = {"name": EVIL, "ü": "東京\n"}
    shown = printable_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(shown) == document
    assert "東京" in shown
    assert all(character == "\n" or character.isprintable() for character in shown)


def test_a_stream_is_cut_anywhere() -> None:
    """Characters, and ends of lines, of several bytes."""
    data = "ü\r\n50%\r100%\r\n\x1b[31mred\n".encode()
    for cut in range(len(data) + 1):
        assert "".join(printable_chunks([data[:cut], data[cut:]])) == "ü\n50%\n100%\n\\x1b[31mred\n"


@pytest.mark.parametrize(
    "show",
    [
        lambda: say(EVIL),
        lambda: print_table(render.table(("name",), [(EVIL,)], title=EVIL)),
        lambda: print_table(
            render.task_table(
                [insight_pb2.Task(path=EVIL, display_name=EVIL, state=EVIL, error=f"{EVIL}\nsecond line")], 0
            )
        ),
        lambda: print_table(
            render.plan_tree(
                insight_pb2.PlanPipelineResponse(
                    tasks=[
                        insight_pb2.PlannedTask(
                            path=EVIL, kind=EVIL, decision=EVIL, note=EVIL, unknown_inputs={EVIL: EVIL}
                        )
                    ]
                ),
                EVIL,
                pods=True,
            )
        ),
        lambda: print_document({"name": EVIL}),
    ],
    ids=["say", "table", "tasks", "plan", "json"],
)
def test_every_way_to_print(show: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    show()
    shown = capsys.readouterr().out
    assert "title" in shown
    assert all(character == "\n" or character.isprintable() for character in shown)


def test_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(render.table(("name",), [("[link=https://example.org]here[/link]",)]))
    assert "[link=https://example.org]here[/link]" in capsys.readouterr().out


class Stream(io.TextIOWrapper):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_content_is_raw_in_a_pipe_alone(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(terminal=terminal)
    monkeypatch.setattr("sys.stdout", stream)
    print_chunks([EVIL.encode(), b"\xff"])
    written = stream.buffer.getvalue()  # type: ignore[attr-defined]
    assert written == (SHOWN.replace(r"\r", "\n") + "\ufffd" if terminal else "").encode() or not terminal
    assert terminal or written == EVIL.encode() + b"\xff"


def test_commands_print_in_one_place() -> None:
    """A command that called `click.echo` would print what a server says as it is."""
    found = []
    for path in sorted(Path(penstock.cli.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("click.echo", "click.secho", "print", "sys.stdout.write", "sys.stdout.buffer.write"):
                found.append(path.name)
    # `up` shows what its own programs say, and makes it safe itself.
    assert set(found) == {"common.py", "up.py"}


def test_a_record_is_a_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("tests.terminal_text")
    log.propagate = False
    log.addHandler(handler)
    try:
        log.warning("task %s failed", f"x\nINFO root: forged\r{EVIL}")
        try:
            raise ValueError(f"of a task\nINFO root: forged {EVIL}")
        except ValueError:
            log.exception("it failed")
    finally:
        log.removeHandler(handler)
    lines = stream.getvalue().splitlines()
    assert lines[0] == rf"WARNING tests.terminal_text: task x\nINFO root: forged\r{SHOWN} failed"
    assert lines[1] == "ERROR tests.terminal_text: it failed"
    assert lines[2] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") and line.isprintable() for line in lines[2:])
