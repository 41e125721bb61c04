"""Properties of the wrapper of a task's Pod: it reads the files of a task as Python reads the same bytes.

Why: it parses JSON, UTF-8 and options in C, without a library. Invariants: every example is one run of the binary that
ends at the first access outside of an object and the first undefined operation; what is expected comes from Python's
own decoders alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from penstock_executor.agent.outputs import fnv64
from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.agent.results import FramedResult, find_frame, parse_message, parse_result, without_frame

from tools.testing.wrapper import sanitized

_KEYS = ("customPath", "custom_path")
_REFUSED = 125
_LONGEST_NAME = 1000
_LONGEST_TOKEN = 256
# Where a sequence may lie across the edge of a message, of a line of a frame or of what is read at once.
_EDGES = (4096, 32768, 65536)


def _run(*arguments: str | bytes | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([sanitized(), *arguments], cwd=cwd, capture_output=True, timeout=60)
    assert b"runtime error:" not in done.stderr and b"Sanitizer" not in done.stderr, done.stderr.decode()
    return done


def _result(message: Path, out: bytes, token: str) -> AttemptResult:
    """What it left, of which a part may be in its output."""
    left = parse_message(message.read_text())
    if isinstance(left, FramedResult):
        frame = find_frame(out, token)
        assert frame is not None and len(frame) == left.size
        assert max(map(len, out.split(b"\n"))) < 4096
        left = parse_result(frame)
    assert isinstance(left, AttemptResult)
    return left


def _bytes(text: str) -> bytes:
    """Half of a surrogate pair as if UTF-8 had it, as the wrapper and the agent write it in a path."""
    return text.encode("utf-8", "surrogatepass")


# --- custom paths -------------------------------------------------------------------------------------------------

# A document that might name what is not the example's own, as `/`, is not tried: the wrapper would copy it. Names of
# files have no dot, and a slash only behind `d`, however a document spells it.
_elsewhere = re.compile(rb"(?<!\\|d)\\?/|\\d\\?/|\\\\/|\.|\\u(?![0-9a-fA-F]{4})|\\u002[eEfF]")
_characters = st.characters(blacklist_characters="/.\0")
_names = st.text(_characters, min_size=1, max_size=20).filter(lambda name: name != "d" and len(_bytes(name)) < 200)
_junk = st.text(_characters | st.just("\0"), max_size=12) | st.sampled_from(["customPath", "\ud83d", "x" * 5000])


def _documents(paths: Sequence[str]) -> st.SearchStrategy[Any]:
    texts = st.sampled_from(paths) | st.sampled_from([f"{path}\0" for path in paths]) | _junk
    keys = st.sampled_from(_KEYS) | st.sampled_from([*_KEYS, "customPath ", "custom_path\0", "artifacts"]) | _junk
    leaves = st.tuples(keys, texts).map(lambda pair: _Pairs([pair])) | texts | st.sampled_from([None, True, 7, -5e29])
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(keys, inner), max_size=3).map(_Pairs),
        max_leaves=8,
    )


class _Pairs(tuple[Any, ...]):
    """The members of an object; a key may stand twice."""


def _spelled(draw: Any, value: Any) -> str:
    """As JSON, with escapes and space as it comes."""
    space = draw(st.sampled_from(["", " ", "\n\t ", "\r"]))
    if isinstance(value, _Pairs):
        members = (f"{_spelled(draw, key)}{space}:{space}{_spelled(draw, item)}" for key, item in value)
        return "{" + space + f"{space},{space}".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(_spelled(draw, item) for item in value) + space + "]"
    if isinstance(value, str):
        plain, hexadecimal = draw(st.booleans()), draw(st.sampled_from(["04x", "04X"]))
        return '"' + "".join(_character(one, plain, hexadecimal) for one in value) + '"'
    return json.dumps(value)


def _character(one: str, plain: bool, hexadecimal: str) -> str:
    if plain and one in '"\\/\b\f\n\r\t':
        return "\\" + dict(zip('"\\/\b\f\n\r\t', '"\\/bfnrt', strict=True))[one]
    if plain and one >= " " and not "\ud800" <= one <= "\udfff":
        return one
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2], 'big'):{hexadecimal}}" for at in range(0, len(units), 2))


def _changed(draw: Any, data: bytes) -> bytes:
    """Some bytes replaced or removed."""
    for _ in range(draw(st.integers(0, 3))):
        if data:
            at = draw(st.integers(0, len(data) - 1))
            data = data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 2)) :]
    return data


def _said(document: Any) -> Iterator[str]:
    """Every text that stands behind one of the keys."""
    for item in document:
        if isinstance(document, _Pairs):
            key, item = item
            if key in _KEYS and isinstance(item, str):
                yield item
        if isinstance(item, (list, _Pairs)):
            yield from _said(item)


@given(names=st.lists(_names, min_size=1, max_size=3, unique=True), data=st.data())
def custom_paths_are_those_that_json_says(names: Sequence[str], data: Any) -> None:
    paths = [*names, *(f"d/{name}" for name in names)]
    text = _spelled(data.draw, data.draw(_documents(paths))).encode()
    metadata = _changed(data.draw, text) if data.draw(st.booleans()) else text
    assume(not _elsewhere.search(metadata))
    with tempfile.TemporaryDirectory() as directory:
        share, left = Path(directory, "share"), Path(directory, "left")
        share.mkdir()
        (left / "d").mkdir(parents=True)
        for path in paths:
            (left / os.fsdecode(_bytes(path))).write_bytes(_bytes(path))
        (share / "metadata").write_bytes(metadata)
        done = _run("--share", share, "--metadata", share / "metadata", "--", "true", cwd=left)
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads((share / "exit").read_text())["reason"] == ""
        copies = {copy.name: copy.read_bytes() for copy in share.glob("custom/*") if copy.is_file()}
    every = {fnv64(_bytes(path)): _bytes(path) for path in paths}
    assert copies.items() <= every.items()
    try:
        document = json.loads(metadata.decode(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return
    wanted = {_bytes(path) for path in _said([document])}
    assert copies == {name: path for name, path in every.items() if path in wanted}


# --- texts --------------------------------------------------------------------------------------------------------


@st.composite
def _texts(draw: Any) -> bytes:
    """UTF-8, nearly so, or not; some of it right at an edge."""
    # With halves of surrogate pairs, which UTF-8 has not, and what is right beside the longest and shortest forms.
    nearly = st.text(st.characters(), max_size=20).map(_bytes) | st.sampled_from(
        [
            b"\xc1\xbf",
            b"\xc2\x80",
            b"\xe0\x9f\xbf",
            b"\xe0\xa0\x80",
            b"\xed\x9f\xbf",
            b"\xed\xa0\x80",
            b"\xf0\x8f\xbf\xbf",
            b"\xf0\x90\x80\x80",
            b"\xf4\x8f\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
        ]
    )
    data = b"".join(draw(st.lists(st.text(max_size=20).map(str.encode) | nearly | st.binary(max_size=4), max_size=4)))
    if draw(st.booleans()):
        length = draw(st.sampled_from(_EDGES)) - draw(st.integers(0, 300))
        return b"x" * length + draw(st.sampled_from(["é", "€", "😀", "\x01", '"'])).encode() * 100 + data
    return data


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _shown(name: bytes) -> str:
    """Decodes with one replacement character for each byte that is not valid UTF-8."""
    return "".join("\ufffd" if "\udc80" <= one <= "\udcff" else one for one in name.decode("utf-8", "surrogateescape"))


_parameter_names = (st.text(max_size=10).map(str.encode) | st.binary(max_size=10)).filter(
    lambda name: b"=" not in name and b"\0" not in name
)


@given(
    parameters=st.lists(st.tuples(_parameter_names, _texts()), max_size=3, unique_by=lambda one: _shown(one[0])),
    metadata=st.none() | _texts(),
)
def texts_are_those_that_utf8_says(parameters: Sequence[tuple[bytes, bytes]], metadata: bytes | None) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        options: list[str | bytes] = ["--message", "message", "--token", "t0", "--metadata", "metadata"]
        for index, (name, data) in enumerate(parameters):
            (place / f"p{index}").write_bytes(data)
            options += ["--parameter", name + f"=p{index}".encode()]
        if metadata is not None:
            (place / "metadata").write_bytes(metadata)
        done = _run(*options, "--", "echo", "said", cwd=place)
        assert (done.returncode, done.stderr) == (0, b"")
        assert without_frame(done.stdout, "t0") == b"said\n"
        result = _result(place / "message", done.stdout, "t0")
        assert result.parameters == {_shown(name): _decoded(data) for name, data in parameters}
        assert result.metadata == (None if metadata is None else _decoded(metadata))
        assert (result.failure is None) == (metadata is None or result.metadata is not None)


# --- options ------------------------------------------------------------------------------------------------------

_FLAGS = ("--wait", "--count")
_OPTIONS = ("--share", "--log", "--metadata", "--message", "--token", "--parameter", "--mkdir", "--home")
_names_and_paths = st.sampled_from(
    ["a=p", "=p", "a==p", "a", "b" * _LONGEST_NAME + "=p", "b" * _LONGEST_NAME + "b=p", "é" * _LONGEST_NAME + "=p"]
)
_tokens = st.sampled_from(["t", "t" * _LONGEST_TOKEN, "t" * _LONGEST_TOKEN + "t", "é" * (_LONGEST_TOKEN // 2)])
_values = st.sampled_from(["share", "log", "message", "metadata", "made/a/b", "made", "--", "--wait", "€" * 400])
# None of them is a path to somewhere else, whatever option it comes to stand behind.
_words = st.sampled_from([*_OPTIONS, *_FLAGS, "--nonsense", "-"]) | st.text(
    st.characters(blacklist_characters="/.\0", blacklist_categories=["Cs"]), min_size=1, max_size=8
)


def _refusal(arguments: Sequence[str]) -> str:
    """The error that the wrapper must report for its arguments, empty if they are valid."""
    share, token, waits, at = False, "-", False, 0
    wrongs: list[str] = []
    while at < len(arguments) and arguments[at] != "--":
        name = arguments[at]
        at += 1
        if name in _FLAGS:
            waits = waits or name == "--wait"
            continue
        if at == len(arguments):
            wrongs.append(name)
            break
        value = arguments[at]
        at += 1
        share = share or name == "--share"
        token = value if name == "--token" else token
        if name not in _OPTIONS:
            wrongs.append(name)
        elif name == "--parameter" and not -1 < value.encode().find(b"=") <= _LONGEST_NAME:
            wrongs.append(value)
    if wrongs:
        return f"the wrapper does not understand {wrongs[0]}"
    if len(arguments) - at < 2:
        return "the wrapper was given no program"
    if waits and not share:
        return "the wrapper cannot wait without --share"
    return "the token is too long" if len(token.encode()) > _LONGEST_TOKEN else ""


@given(
    options=st.lists(
        st.tuples(_words, _values | st.none())
        | st.tuples(st.just("--parameter"), _names_and_paths)
        | st.tuples(st.just("--token"), _tokens),
        max_size=5,
    ),
    rest=st.sampled_from([["--", "true"], ["--", "true", "--", "--wait"], ["--"], []]),
)
def options_are_understood_or_refused(options: Sequence[tuple[str, str | None]], rest: Sequence[str]) -> None:
    arguments = [word for name, value in options for word in ((name,) if value is None else (name, value))] + [*rest]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "share").mkdir()
        # Nobody fetches inputs here.
        (place / "share" / "ready").touch()
        # Whatever is given later counts: what the example says, or this.
        done = _run("--message", "first", *arguments, cwd=place)
        refusal = _refusal(arguments)
        if refusal:
            said = f"penstock: {refusal}".encode()[:500]
            assert (done.returncode, done.stderr[: len(said)]) == (_REFUSED, said)
        else:
            # The program may be `--`, which nobody has.
            assert done.returncode in (0, 127, _REFUSED)
            assert b"the wrapper does not understand" not in done.stderr


WRAPPER_PROPERTIES = [
    custom_paths_are_those_that_json_says,
    texts_are_those_that_utf8_says,
    options_are_understood_or_refused,
]
