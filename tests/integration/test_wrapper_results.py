"""The wrapper in a task's Pod (docs/pods.md), the committed one and one that notices errors of C: the results it
leaves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.agent.results import (
    FramedResult,
    parse_message,
    without_frame,
)

from tests.support.wrapper_runs import open_place, run, use_binary


@pytest.fixture(params=["committed", "sanitized"], autouse=True)
def binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_binary(request.param, monkeypatch)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_place() as directory:
        yield directory


# --- results --------------------------------------------------------------------------------------------------------


def left_by(place: Path, files: dict[str, bytes], metadata: bytes | None = None) -> tuple[bytes, AttemptResult]:
    arguments = []
    for index, (name, data) in enumerate(files.items()):
        (place / f"p{index}").write_bytes(data)
        arguments += ["--parameter", f"{name}={place / f'p{index}'}"]
    if metadata is not None:
        (place / "metadata").write_bytes(metadata)
    arguments += ["--metadata", str(place / "metadata")]
    code, out, _, result = run(place, *arguments, "--", "echo", "said")
    assert code == 0
    return out, result


TEXTS = ["", "plain", '"\\/\b\f\n\r\t\x00\x1f\x7f', "é€😀\u2028\ufeff\ufffd\U0010ffff", "\r\n", "a=b", " "]


def test_texts_of_parameters(place: Path) -> None:
    files = {f'name "{index}" é': text.encode() for index, text in enumerate(TEXTS)}
    _, result = left_by(place, files, b'{"a": "\xc3\xa9"}')
    assert result.parameters == {name: data.decode() for name, data in files.items()}
    assert result.metadata == '{"a": "é"}'
    assert result.failure is None


@pytest.mark.parametrize("shift", range(4))
def test_characters_across_the_edge_of_a_buffer(place: Path, shift: int) -> None:
    text = "x" * (32768 - shift) + "😀é€" * 9000
    out, result = left_by(place, {"a": text.encode(), "b": b"x" * (32768 - shift) + b"\xf0\x9f\x98"})
    assert result.parameters == {"a": text, "b": None}
    assert max(len(line) for line in out.split(b"\n")) < 4096
    assert without_frame(out, "t0") == b"said\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"a\xe2\x82",
        b"\xe2\x28\xa1",
        b"\xf0\x9f\x98",
    ],
)
def test_what_is_no_text(place: Path, data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        data.decode()
    _, result = left_by(place, {"good": b"g", "bad": data, "": b"unnamed"})
    assert result.parameters == {"good": "g", "bad": None, "": "unnamed"}
    assert result.failure is None
    _, result = left_by(place, {}, data)
    assert result.metadata is None
    assert result.failure == ("user", "output_metadata.json is no valid JSON: it is no UTF-8 text")


@pytest.mark.parametrize(("size", "framed"), [(4095, False), (4096, False), (4097, True), (200_000, True)])
def test_where_a_result_goes(place: Path, size: int, framed: bool) -> None:
    left_by(place, {"a": b""})
    empty = (place / "message").stat().st_size
    out, result = left_by(place, {"a": b"x" * (size - empty)})
    assert result.parameters == {"a": "x" * (size - empty)}
    message = parse_message((place / "message").read_text())
    assert isinstance(message, FramedResult) == framed
    if isinstance(message, FramedResult):
        assert message.size == size
        assert out.count(b"\n") <= message.lines + 2
        assert without_frame(out, "t0") == b"said\n"
    else:
        assert (place / "message").stat().st_size == size
        assert out == b"said\n"


def test_what_was_not_written_is_left_out(place: Path) -> None:
    _, result = left_by(place, {})
    assert (result.parameters, result.metadata, result.failure) == ({}, None, None)
    code, _, _, result = run(
        place, "--parameter", f"a={place / 'none'}", "--parameter", f"b={place / 'message' / 'x'}", "--", "true"
    )
    assert (code, result.parameters, result.failure) == (0, {}, None)


def test_a_program_that_failed_has_no_outputs(place: Path) -> None:
    (place / "p").write_text("x")
    code, _, _, result = run(place, "--parameter", f"a={place / 'p'}", "--metadata", str(place / "p"), "--", "false")
    assert (code, result.parameters, result.metadata) == (1, {}, None)


def test_limits(place: Path) -> None:
    limit = 16 * 1024 * 1024
    for name, size in (("fits", limit), ("over", limit + 1)):
        with (place / name).open("wb") as file:
            file.truncate(size)
    code, _, _, result = run(place, "--parameter", f"fits={place / 'fits'}", "--", "true")
    assert (code, result.parameters, result.failure) == (0, {"fits": "\0" * limit}, None)
    code, _, _, result = run(place, "--parameter", f"it's={place / 'over'}", "--", "true")
    assert (code, result.parameters) == (0, {})
    assert result.failure == ("user", f"output parameter 'it's' is larger than {limit} bytes")
    with (place / "over").open("wb") as file:
        file.truncate(4 * limit + 1)
    code, _, _, result = run(place, "--metadata", str(place / "over"), "--", "true")
    assert (code, result.metadata) == (0, None)
    assert result.failure == ("user", f"output_metadata.json is larger than {4 * limit} bytes")


def test_what_is_no_file(place: Path) -> None:
    os.mkfifo(place / "fifo")
    for path in (place, place / "fifo", Path("/dev/zero")):
        code, _, _, result = run(place, "--parameter", f"a={path}", "--", "true")
        assert code == 0
        assert result.failure == ("user", "output parameter 'a' cannot be read: it is no file")
