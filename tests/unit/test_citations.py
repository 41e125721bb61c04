"""Citations of docs/contract and links between Markdown files lead to something that exists.

A citation names a document of docs/contract and, behind the section sign, the number of a heading in it; several follow
one another with commas, `and`, `to` or as a range, of which the ends are looked up. Inside a document the sign alone
means that document. RFCs are cited likewise, and not looked up. Links are those of Markdown files to files and headings
of the repository; no network.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "docs/contract"
SIGN = "\u00a7"
_NUMBER = r"\d+(?:\.\d+)*"
# A citation may go on in the next line of a comment.
_GAP = r"[\s#/*]+"
_ONE = rf"{SIGN}{_NUMBER}(?:\u2013{_NUMBER})?"
_CITATION = re.compile(
    rf"(?:([\w-]+\.md|RFC {_NUMBER}){_GAP})?({_ONE}(?:(?:,|{_GAP}and|{_GAP}to){_GAP}{_ONE})*|{SIGN})"
)
_HEADING = re.compile(r"^#{1,6} +(.*?)[ #]*$", re.MULTILINE)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)|^ {0,3}\[[^\]]+\]: +<?([^>\s]+)", re.MULTILINE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Citation:
    """`document` is empty where none is named, `numbers` where the sign has none behind it."""

    place: str
    document: str
    numbers: tuple[str, ...]


def citations(path: str, text: str) -> Iterator[Citation]:
    own = posixpath.basename(path) if path.startswith(f"{CONTRACT}/") else ""
    for match in _CITATION.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        yield Citation(f"{path}:{line}", match.group(1) or own, tuple(re.findall(_NUMBER, match.group(2))))


def headings(markdown: str) -> list[str]:
    return _HEADING.findall(_FENCED.sub("", markdown))


def numbers(markdown: str) -> list[str]:
    """Of the headings that have one."""
    return [match.group(1) for one in headings(markdown) if (match := re.match(rf"({_NUMBER})\.? ", one))]


def anchors(markdown: str) -> set[str]:
    """What may stand behind `#`, as GitHub makes it of headings."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in headings(markdown):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(markdown: str) -> list[str]:
    """Targets, without URLs."""
    text = _CODE.sub("", _FENCED.sub("", markdown))
    targets = [inline or reference for inline, reference in _LINK.findall(text)]
    return [target for target in targets if not _URL.match(target)]


@cache
def files() -> tuple[str, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return tuple(path for path in listed.decode().split("\0") if (ROOT / path).is_file())


@cache
def texts() -> dict[str, str]:
    """Every file that is text."""
    found = {}
    for path in files():
        try:
            found[path] = (ROOT / path).read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return found


@cache
def cited() -> tuple[Citation, ...]:
    return tuple(
        one for path, text in texts().items() for one in citations(path, text) if not one.document.startswith("RFC ")
    )


@cache
def contract() -> dict[str, list[str]]:
    """The numbers of the headings of each document, by its name."""
    return {
        posixpath.basename(path): numbers(text) for path, text in texts().items() if path.startswith(f"{CONTRACT}/")
    }


def broken(path: str) -> Iterator[str]:
    """Links of a file that lead nowhere."""
    for link in links(texts()[path]):
        target, _, anchor = link.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(target))) if target else path
        if there not in files() and not any(one.startswith(f"{there}/") for one in files()):
            yield f"{path}: {link}: there is no {there}"
        elif anchor and anchor not in anchors(texts().get(there, "")):
            yield f"{path}: {link}: no heading of {there}"


@pytest.mark.parametrize(
    ("text", "document", "wanted"),
    [
        (f"(api.md {SIGN}2.8)", "api.md", ("2.8",)),
        (f"# api.md\n# {SIGN}1.3 to {SIGN}1.5,\n# {SIGN}4.2).", "api.md", ("1.3", "1.5", "4.2")),
        (f"executor.md {SIGN}10.1\u201310.3 and {SIGN}4", "executor.md", ("10.1", "10.3", "4")),
        (f"RFC 9110 {SIGN}14", "RFC 9110", ("14",)),
        (f"see {SIGN}2.8", "", ("2.8",)),
        (f"api.md, {SIGN}2.8", "", ("2.8",)),
        (f"api.md {SIGN} 2.8", "api.md", ()),
    ],
)
def test_what_is_read_as_a_citation(text: str, document: str, wanted: tuple[str, ...]) -> None:
    (found,) = citations("a.py", text)
    assert (found.document, found.numbers) == (document, wanted)


def test_citations_were_found() -> None:
    assert len(cited()) > 100


def test_every_citation_names_a_document_and_sections() -> None:
    assert [one for one in cited() if not one.document or not one.numbers] == []


def test_cited_documents_exist() -> None:
    assert sorted({one.document for one in cited() if one.document} - set(contract())) == []


def test_cited_sections_exist() -> None:
    """Of the documents that exist."""
    missing = [
        f"{one.place}: {one.document} {number}"
        for one in cited()
        for number in one.numbers
        if number not in contract().get(one.document, one.numbers)
    ]
    assert missing == []


def test_no_number_stands_before_two_headings() -> None:
    twice = {name: [one for one, count in Counter(found).items() if count > 1] for name, found in contract().items()}
    assert not any(twice.values()), twice


@pytest.mark.parametrize("path", [path for path in files() if path.endswith(".md")])
def test_links_lead_somewhere(path: str) -> None:
    assert list(broken(path)) == []
