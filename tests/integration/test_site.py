"""The documentation as a site: what is wrong with a link ends the build, and no page fetches anything from elsewhere.

Why: links are those of the repository's directories, so a page that moves breaks others, and a site that needs another
host to be read cannot be read where there is none.
"""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Attributes with which a page fetches what it needs; the `href` of an anchor is for its reader to follow.
FETCHING = {"src", "srcset", "data"}


class Fetched(HTMLParser):
    """Collects the addresses that a browser asks for when it shows the page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = FETCHING | ({"href"} if tag == "link" else set())
        self.addresses += [value for name, value in attrs if name in wanted and value]


def make_docs(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "docs", f"ARGS={' '.join(arguments)}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = make_docs("--site-dir", str(target))
    assert done.returncode == 0, done.stderr
    return target


def test_pages_fetch_nothing_from_another_host(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 50
    for page in pages:
        parser = Fetched()
        parser.feed(page.read_text("utf-8"))
        assert any(one.endswith("mermaid.js") for one in parser.addresses), f"{page}: diagrams come from elsewhere"
        assert [one for one in parser.addresses if re.match(r"(\w+:)?//", one)] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(\w+:)?//", sheet.read_text("utf-8")), sheet


def test_a_page_outside_of_docs_lies_where_links_of_the_repository_lead(site: Path) -> None:
    assert 'href="../../deploy/"' in (site / "docs" / "pods" / "index.html").read_text("utf-8")
    assert 'href="../docs/pods/"' in (site / "deploy" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("missing.md", "a link 'missing.md', but the target is not found"),
        ("#missing", "a link '#missing', but there is no such anchor"),
        ("directory", "an unrecognized relative link 'directory'"),
        ("/README.md", "an absolute link '/README.md'"),
    ],
)
def test_a_link_that_leads_nowhere_ends_the_build(link: str, complaint: str, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / "directory").mkdir(parents=True)
    (pages / "README.md").write_text(f"# A page\n\n[a link]({link})\n")
    settings = tmp_path / "mkdocs.yml"
    settings.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {pages}\nsite_dir: {tmp_path / 'site'}\nnav: []\n")
    done = make_docs("--config-file", str(settings))
    assert done.returncode != 0
    (warning,) = re.findall(r"^WARNING -  (.*)", done.stderr, re.MULTILINE)
    assert warning.startswith(f"Doc file 'README.md' contains {complaint}")
