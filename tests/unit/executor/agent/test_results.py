"""How the executor reads the result of an attempt in a Pod."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_executor.agent.protocol import FRAME_LINE_BYTES, AttemptResult, ProcessExit
from penstock_executor.agent.results import (
    FramedResult,
    StoredResult,
    find_frame,
    outputs_of,
    parse_message,
    parse_result,
    without_frame,
)
from penstock_executor.artifacts.output_files import OutputError
from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_ir.artifact import Artifact
from penstock_ir.json_text import MAX_DEPTH
from penstock_ir.model import ArtifactDefinition, ParameterType

RESULT = AttemptResult(
    ProcessExit(0, started_at=1, finished_at=2),
    {"a": "x", "b": None},
    "{}",
    ("s3://b/k",),
    True,
    ("user", "text"),
    fetched_at=3,
    stored_at=4,
)


def test_results_come_back() -> None:
    assert parse_message(RESULT.to_json()) == RESULT
    assert parse_result(RESULT.to_json().encode()) == RESULT
    assert parse_message(AttemptResult(None).to_json()) == AttemptResult(None)
    assert parse_message('{"frame": "t", "bytes": 5000}') == FramedResult("t", 5000)
    assert parse_message('{"frame": "t", "bytes": 5000, "log_bytes": 7}') == FramedResult("t", 5000, 7)
    assert parse_message('{"stored": "s3://b/k", "bytes": 5000}') == StoredResult("s3://b/k", 5000)


def test_what_a_later_version_adds_is_ignored() -> None:
    assert parse_message(json.dumps({**json.loads(RESULT.to_json()), "later": 1})) == RESULT


def test_a_result_of_the_release_before_is_read() -> None:
    old = json.loads(RESULT.to_json())
    del old["fetched_at"], old["stored_at"]
    assert parse_message(json.dumps(old)) == replace(RESULT, fetched_at=0, stored_at=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "killed",
        "null",
        "[]",
        "1",
        "{}",
        '{"exit": 1}',
        '{"exit": {}}',
        '{"exit": {"code": "0"}}',
        '{"exit": {"code": 0, "command": 1}}',
        '{"exit": null, "parameters": [1]}',
        '{"exit": null, "parameters": {"a": 1}}',
        '{"exit": null, "parameters": {"a": "\\ud800"}}',
        '{"exit": null, "metadata": {}}',
        '{"exit": null, "stored": "s3://b/k"}',
        '{"exit": null, "stored": [1]}',
        '{"exit": null, "failure": "text"}',
        '{"exit": null, "failure": ["nobody", "text"]}',
        '{"exit": null, "fetched_at": "1"}',
        '{"exit": null, "stored_at": true}',
        '{"frame": "t"}',
        '{"frame": 1, "bytes": 1}',
        '{"stored": "s3://b/k", "bytes": "1"}',
        "[" * 100_000,
        RESULT.to_json()[:-1],
    ],
)
def test_what_is_no_result(text: str) -> None:
    assert parse_message(text) is None
    assert parse_result(text.encode("utf-8", "surrogatepass")) is None


def framed(content: bytes, token: str, between: bytes = b"") -> bytes:
    pieces = [content[at : at + 1000] for at in range(0, len(content), 1000)]
    lines = [f"\n::penstock-result {token} {len(content)}\n".encode()]
    lines += [between + f"::penstock-result {token}:".encode() + piece + b"\n" for piece in pieces]
    return between.join(lines)


@given(
    st.binary(max_size=5000).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from([b"", b"err\n", b"no line end"]),
)
def test_frames_are_found_among_other_lines(content: bytes, between: bytes) -> None:
    log = b"said\n::penstock-result t 3\n::penstock-result t:abc\n" + framed(content, "t", between) + between
    assert find_frame(log, "t") == content
    assert find_frame(log, "u") is None


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"x",
        b"::penstock-result t 3\n::penstock-result t:ab\n",
        b"::penstock-result t:abc\n",
        b"::penstock-result t 3",
    ],
)
def test_frames_that_are_not_whole(log: bytes) -> None:
    assert find_frame(log, "t") is None


def test_logs_without_their_frame() -> None:
    assert without_frame(b"said" + framed(b"x" * 5000, "t"), "t") == b"said"
    assert without_frame(b"said\n" + framed(b"x" * 5000, "t", b"err\n"), "t").replace(b"err\n", b"") == b"said\n"
    assert without_frame(b"said\n", "t") == b"said\n"


def test_how_many_lines_a_frame_has() -> None:
    assert FramedResult("t", 4097).lines == 4
    assert FramedResult("t" * 300, 10 * FRAME_LINE_BYTES).lines < 16


# --- outputs ----------------------------------------------------------------------------------------------------------

ROOT = "s3://b/root/p/r/t/u"


def task(root: str = ROOT, *, is_list: bool = False) -> TaskLaunch:
    definition = ArtifactDefinition(schema_title="system.Model", schema_version="0.0.1", is_list=is_list)
    return TaskLaunch(
        key=AttemptKey("r", "t", 1),
        task_name="t",
        pipeline_name="p",
        image="image",
        command=("true",),
        args=(),
        env=(),
        task_root=root,
        inputs={},
        defaults={},
        input_artifacts={},
        input_artifact_definitions={},
        output_parameters={"number": ParameterType.NUMBER_INTEGER},
        output_artifacts={"model": OutputArtifact(Artifact("model", "system.Model", f"{root}/model"), definition)},
    )


GOOD = AttemptResult(ProcessExit(0), {"number": "42"}, stored=(f"{ROOT}/model",))


def test_outputs_from_files() -> None:
    outputs = outputs_of(task(), GOOD)
    assert outputs.parameters == {"number": 42}
    assert outputs.artifacts["model"] == (Artifact("model", "system.Model", f"{ROOT}/model"),)


def test_artifacts_that_are_not_there() -> None:
    (artifact,) = outputs_of(task(), replace(GOOD, stored=())).artifacts["model"]
    assert artifact.absent


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http://[::1", r"the URI 'http://\[::1' of artifact 'model' cannot be parsed: Invalid IPv6 URL"),
        ("s3://[b/k", "of artifact 'model' cannot be parsed"),
        ("s3://b/\0", "of artifact 'model' holds a NUL character"),
    ],
)
def test_uris_that_name_no_place(uri: str, text: str) -> None:
    said = json.dumps({"artifacts": {"model": {"artifacts": [{"uri": uri}]}}})
    with pytest.raises(OutputError, match=text):
        outputs_of(task(), replace(GOOD, metadata=said))


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({}, "the task did not write its output parameter 'number'"),
        ({"number": None}, "output parameter 'number' is no UTF-8 text"),
        ({"number": "x"}, "output parameter 'number' is no NUMBER_INTEGER"),
    ],
)
def test_parameters_that_are_wrong(parameters: dict[str, str | None], text: str) -> None:
    with pytest.raises(OutputError, match=text):
        outputs_of(task(), replace(GOOD, parameters=parameters))


INTEGER, DOUBLE, LIST, STRUCT = (
    ParameterType.NUMBER_INTEGER,
    ParameterType.NUMBER_DOUBLE,
    ParameterType.LIST,
    ParameterType.STRUCT,
)


@pytest.mark.parametrize(
    ("kind", "text", "error"),
    [
        (INTEGER, "1_000", "is no NUMBER_INTEGER: '1_000'"),
        (INTEGER, "9223372036854775808", "takes more than 64 bits"),
        (INTEGER, "-9223372036854775809", "takes more than 64 bits"),
        (INTEGER, "9" * 100_000, "is no NUMBER_INTEGER"),
        (INTEGER, "\u0661", "is no NUMBER_INTEGER"),
        (INTEGER, "1.0", "is no NUMBER_INTEGER"),
        (INTEGER, "", "is no NUMBER_INTEGER"),
        (DOUBLE, "1_0.5", "is no NUMBER_DOUBLE: '1_0.5'"),
        (DOUBLE, "nan", "'nan' is no number that JSON has"),
        (DOUBLE, "-Infinity", "is no number that JSON has"),
        (DOUBLE, "1e999", "is no number that JSON has"),
        (DOUBLE, "\u0661", "is no NUMBER_DOUBLE"),
        (LIST, "null", "expected LIST, got null"),
        (STRUCT, "null", "expected STRUCT, got null"),
        (LIST, "{}", "expected LIST, got an object"),
        (LIST, "[1, NaN]", r"output parameter 'o'\[1\] is NaN"),
        (STRUCT, '{"a": {"b": -Infinity}}', r"output parameter 'o'\['a'\]\['b'\] is -Infinity"),
        (STRUCT, '{"a": 1, "a": 2}', "output parameter 'o' has the key 'a' twice"),
        (LIST, '[{"a": 1, "a": 1}]', r"output parameter 'o'\[0\] has the key 'a' twice"),
    ],
)
def test_files_are_read_strictly(kind: ParameterType, text: str, error: str) -> None:
    launch = replace(task(), output_parameters={"o": kind})
    with pytest.raises(OutputError, match=error) as caught:
        outputs_of(launch, replace(GOOD, parameters={"o": text}))
    assert "'o'" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        (LIST, "[1.0, NaN, -Infinity]", r"\['o'\]\[1\] is NaN"),
        (DOUBLE, "Infinity", r"\['o'\] is Infinity"),
        (ParameterType.STRING, "NaN", r"\['o'\] is NaN"),
        (STRUCT, '{"a": [1e999]}', r"\['o'\]\['a'\]\[0\] is Infinity"),
        (STRUCT, '{"a": {"b": 1, "b": 2}}', r"\['o'\]\['a'\] has the key 'b' twice"),
        (STRUCT, "null", "output parameter 'o': expected STRUCT, got null"),
        (LIST, "null", "output parameter 'o': expected LIST, got null"),
        (INTEGER, "null", "output parameter 'o': expected NUMBER_INTEGER, got null"),
        (INTEGER, "9223372036854775808", "output parameter 'o' is no NUMBER_INTEGER"),
        (INTEGER, "1e300", "output parameter 'o' is no NUMBER_INTEGER"),
    ],
)
def test_the_document_is_read_as_strictly(kind: ParameterType, value: str, error: str) -> None:
    launch = replace(task(), output_parameters={"o": kind})
    with pytest.raises(OutputError, match=error):
        outputs_of(launch, replace(GOOD, metadata=f'{{"parameterValues": {{"o": {value}}}}}'))


def test_metadata_of_artifacts_hold_what_json_can_say() -> None:
    metadata = '{"artifacts": {"model": {"artifacts": [{"metadata": {"loss": [NaN]}}]}}}'
    with pytest.raises(OutputError, match=r"\['model'\].*\['metadata'\]\['loss'\]\[0\] is NaN"):
        outputs_of(task(), replace(GOOD, metadata=metadata))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (INTEGER, " +9223372036854775807\n", 2**63 - 1),
        (INTEGER, "-9223372036854775808", -(2**63)),
        (INTEGER, "007", 7),
        (DOUBLE, "1.", 1),
        (DOUBLE, "-.5e+1\n", -5),
        (DOUBLE, "9007199254740993", 2**53 + 1),
        (DOUBLE, "1e18", 10**18),
        (STRUCT, '{"ts": 1732752000000000000, "x": 9007199254740993, "none": null}', None),
        (LIST, "[1e18]", [10**18]),
    ],
)
def test_files_give_values_with_all_digits(kind: ParameterType, text: str, value: object) -> None:
    launch = replace(task(), output_parameters={"o": kind})
    found = outputs_of(launch, replace(GOOD, parameters={"o": text})).parameters["o"]
    assert json.dumps(found) == (text if value is None else json.dumps(value))


def said(artifacts: list[dict[str, object]]) -> str:
    return json.dumps({"parameterValues": {"number": 7}, "artifacts": {"model": {"artifacts": artifacts}}})


def test_the_document_wins() -> None:
    result = AttemptResult(
        ProcessExit(0),
        {"number": None},
        "\ufeff" + said([{"uri": f"{ROOT}/other", "metadata": {"x": 1.0}, "customPath": "/model"}]),
        (f"{ROOT}/other",),
    )
    outputs = outputs_of(task(), result)
    assert outputs.parameters == {"number": 7}
    assert outputs.artifacts["model"] == (Artifact("model", "system.Model", f"{ROOT}/other", {"x": 1}),)


def test_lists_and_places_that_nobody_moves() -> None:
    result = replace(GOOD, metadata=said([{}, {"uri": f"{ROOT}/two"}, {"uri": "https://host/x"}, {"uri": "/s3/b/y"}]))
    artifacts = outputs_of(task(is_list=True), result).artifacts["model"]
    assert [(one.uri, one.absent) for one in artifacts] == [
        (f"{ROOT}/model", False),
        (f"{ROOT}/two", True),
        ("https://host/x", False),
        ("s3://b/y", True),
    ]


def test_paths_of_files_are_mapped_back() -> None:
    root = "file:///data/root/p/r/t/u"
    result = AttemptResult(
        ProcessExit(0),
        metadata=said([{"uri": "minio://_file/data/root/p/r/t/u/other"}]),
        stored=(f"{root}/other",),
    )
    (artifact,) = outputs_of(task(root), result).artifacts["model"]
    assert (artifact.uri, artifact.absent) == (f"{root}/other", False)


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("where", ["file", "document", "metadata"])
def test_outputs_that_messages_cannot_carry_fail_the_task_by_name(where: str, levels: int) -> None:
    launch = replace(task(), output_parameters={"o": LIST})
    given, named = {
        "file": (replace(GOOD, parameters={"o": deep(levels)}), "output parameter 'o'"),
        "document": (replace(GOOD, metadata=f'{{"parameterValues": {{"o": {deep(levels)}}}}}'), "output parameter 'o'"),
        "metadata": (
            replace(
                GOOD,
                parameters={"o": "[]"},
                metadata=f'{{"artifacts": {{"model": {{"artifacts": [{{"metadata": {{"k": {deep(levels)}}}}}]}}}}}}',
            ),
            "metadata 'k' of output artifact 'model'",
        ),
    }[where]
    if levels <= MAX_DEPTH:
        assert outputs_of(launch, given).parameters
        return
    with pytest.raises(OutputError, match=f"{named} is nested deeper than {MAX_DEPTH} levels"):
        outputs_of(launch, given)
