"""Small files that would become large: each is refused after little work, whatever it would unpack or expand to."""

from __future__ import annotations

import gzip
import io
import json
import resource
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pytest
from penstock_ir.errors import InvalidSpecError
from penstock_ir.json_text import MAX_VALUES, has_too_many_values
from penstock_ir.package import text_of_package
from penstock_ir.yaml_text import MAX_DOCUMENTS, documents

MAX_BYTES = 1 << 20
# What reading any of them may take: a share of what the values themselves would.
MAX_MEMORY = 128 << 20


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MAX_MEMORY, f"{grown >> 20} MiB were taken"


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(InvalidSpecError) as refused:
        read()
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("---\n" * (MAX_DOCUMENTS + 1), "more than 16 documents"),
        ("[" + "[]," * MAX_VALUES + "]", "more than 1000000 values"),
        ("- x\n" * (MAX_VALUES + 1), "more than 1000000 values"),
        ("- " * 4_000_000, "nested"),
        ("[" * 4_000_000, "nesting"),
        ("{a: " * 1_000_000, "nested"),
        ("1" * 1_000_000, "1000000 digits"),
        ("1" * 1_000_000 + ".5", "1000002 digits"),
        ("a: &a [" + "x," * 1000 + "]\nb: &b [" + "*a," * 1000 + "]\nc: *b", "more than 1000000 values"),
        ("a: &a\n  b: *a", "contains it"),
        ("a: *missing", "no anchor"),
    ],
    ids=range(11),
)
def test_yaml(text: str, reason: str) -> None:
    assert reason in refusal(lambda: documents(text))


def test_an_alias_is_the_value() -> None:
    assert documents("a: &a [1, {b: &b c}]\nd: *a\n*b : 2") == [{"a": [1, {"b": "c"}], "d": [1, {"b": "c"}], "c": 2}]


def test_sixteen_documents_are_read() -> None:
    assert documents("---\n" * 15 + "---\na: 1") == [{"a": 1}]


def archive_of(*entries: tuple[tarfile.TarInfo, bytes], level: int = 9) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(content.getvalue(), level)


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info, data


def test_a_tar_with_a_large_file() -> None:
    packed = archive_of(entry("pipeline.yaml", b"\0" * (2 << 20)))
    assert f"more than {MAX_BYTES} bytes" in refusal(lambda: text_of_package(packed, "", MAX_BYTES))


def test_a_tar_with_much_before_the_pipeline() -> None:
    packed = archive_of(entry("other", b"\0" * (16 << 20)), entry("pipeline.yaml", b"a: 1"))
    assert "too large" in refusal(lambda: text_of_package(packed, "", MAX_BYTES))


def test_a_tar_with_a_header_of_gigabytes() -> None:
    """The library reads an extended header as a whole; this one says that it has 8 GiB and is zeros."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    block = header.tobuf(tarfile.GNU_FORMAT)
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(block) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
    assert "too large" in refusal(lambda: text_of_package(packed, "", MAX_BYTES))


def test_a_tar_of_many_directories() -> None:
    packed = archive_of(*(entry(f"d{number}", kind=tarfile.DIRTYPE) for number in range(1001)), level=1)
    assert "more than 1000 entries" in refusal(lambda: text_of_package(packed, "", MAX_BYTES))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.yaml", "pipeline.yaml"], "pipeline.yaml"),
        (["a.yml", "b.yaml"], "a.yml"),
        (["x", "pipeline.yaml"], "pipeline.yaml"),
    ],
)
def test_the_pipeline_of_a_tar(names: list[str], found: str) -> None:
    assert text_of_package(archive_of(*(entry(name, name.encode()) for name in names)), "", MAX_BYTES) == found


def test_a_tar_that_begins_with_something_else() -> None:
    assert "no pipeline.yaml" in refusal(
        lambda: text_of_package(archive_of(entry("x"), entry("a.yaml")), "", MAX_BYTES)
    )


def zip_of(entries: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_a_zip_with_a_large_file() -> None:
    packed = zip_of({"pipeline.yaml": b"\0" * (64 << 20)})
    assert f"more than {MAX_BYTES} bytes" in refusal(lambda: text_of_package(packed, "", MAX_BYTES))


def test_a_zip_of_many_entries() -> None:
    """A thousand are read, and no object is made for more."""
    names = {"pipeline.yaml": b"a: 1"} | {f"e{number}": b"" for number in range(999)}
    assert text_of_package(zip_of(names), "", MAX_BYTES) == "a: 1"
    more = zip_of(names | {f"f{number}": b"" for number in range(2000)})
    tracemalloc.start()
    try:
        assert "more than 1000 entries" in refusal(lambda: text_of_package(more, "", MAX_BYTES))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        [], [1, 2], {"a": [1, {"b": None}]}, [[], [], []], ["a,b,[{", 'quote " , [', "back\\", "\\\\,"], {"a,b": 'x",'},
        ["\\\"," * 3],
    ],
)  # fmt: skip
def test_values_of_json_are_counted_outside_of_strings(value: object) -> None:
    text = json.dumps(value).encode()
    assert has_too_many_values(text, _marks(value))
    assert not has_too_many_values(text, _marks(value) + 1)


def _marks(value: object) -> int:
    """Commas, brackets and braces that a writer makes for the value."""
    if isinstance(value, dict):
        return 1 + max(0, len(value) - 1) + sum(map(_marks, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(_marks, value))
    return 0


@pytest.mark.parametrize(
    "text",
    [b"[" + b"1," * 2_000_000, b'["' + b'\\"' * 9_000_000 + b"," * 1_000_000 + b'"]', b'"",' * 1_500_000],
    ids=["numbers", "escapes", "strings"],
)
def test_json_with_too_many_values(text: bytes) -> None:
    assert has_too_many_values(text)


def test_a_text_of_commas_is_one_value() -> None:
    assert not has_too_many_values(json.dumps({"csv": "a,b\n" * 2_000_000}).encode())
