"""What services of vulnerabilities answer: a known one fails, and no answer is never a good one."""

from __future__ import annotations

import json

import pytest

from tools import advisories


def test_a_vulnerability_of_a_python_package_is_found() -> None:
    report = {"dependencies": [{"name": "one", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]}]}
    assert advisories.of_pip_audit(report, "").found == ["one 1: PYSEC-1"]


def test_a_package_that_the_service_does_not_know_was_not_checked() -> None:
    """pip-audit itself exits with 0."""
    report = {
        "dependencies": [{"name": "one", "skip_reason": "not found"}, {"name": "two", "version": "1", "vulns": []}]
    }
    assert advisories.of_pip_audit(report, "") == advisories.Answer(unanswered=["not found"])


@pytest.mark.parametrize(
    "answer",
    [
        advisories.of_pip_audit({}, "no such host"),
        advisories.of_npm("", "no such host"),
        advisories.of_npm(json.dumps({"message": "no such host"}), "a log was written"),
        advisories.of_govulncheck('{"config": {}}\n{"progress": {}}', "no such host"),
    ],
)
def test_a_service_that_cannot_be_reached_is_told(answer: advisories.Answer) -> None:
    assert answer == advisories.Answer(unanswered=["no such host"])


def test_a_vulnerability_of_an_npm_package_is_found_once() -> None:
    """Packages that only need it name it, too."""
    via = {"name": "one", "title": "a hole", "url": "https://github.com/advisories/GHSA-1"}
    report = {"vulnerabilities": {"one": {"via": [via]}, "two": {"via": ["one"]}}}
    assert advisories.of_npm(json.dumps(report), "").found == ["one: a hole https://github.com/advisories/GHSA-1"]


def test_a_vulnerability_of_a_go_module_is_found_once() -> None:
    finding = json.dumps({"finding": {"osv": "GO-1", "trace": [{"module": "golang.org/x/net"}]}})
    answer = advisories.of_govulncheck(f'{{"config": {{}}}}\n{finding}\n{finding}\n', "")
    assert answer == advisories.Answer(found=["golang.org/x/net: GO-1"])


@pytest.mark.parametrize(
    ("answer", "code"), [(advisories.Answer(unanswered=["away"]), 0), (advisories.Answer(["x"]), 1)]
)
def test_only_a_known_vulnerability_fails(
    answer: advisories.Answer, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "_SERVICES", {"Python": lambda: answer})
    assert advisories.main() == code
    assert ("NOT CHECKED" in capsys.readouterr().err) is bool(answer.unanswered)


def test_what_is_ignored_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories, "IGNORED", {"CVE-1": "of a part that we do not call"})
    report = {"dependencies": [{"name": "one", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]}]}
    assert advisories.of_pip_audit(report, "").found == []
