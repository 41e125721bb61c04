"""Asks the services that know published vulnerabilities about what the locks name: `make advisories`.

Why apart from `tools.audit`: the answers come over the network and change by themselves. A vulnerability that is known
fails. A service that cannot be reached, or does not know a package, fails nothing, but is said last and in capitals: no
answer is not a good one. pip-audit asks for Python, `npm audit` for the TypeScript client, govulncheck for the Go
client; what is left aside on purpose, with the reason, is `IGNORED`.

Example: python -m tools.advisories
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = "pip-audit@2.10.1"
GOVULNCHECK = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
# Identifier of a vulnerability: why it does not matter here.
IGNORED: dict[str, str] = {}
_SECONDS = 300


@dataclass
class Answer:
    """What one service said: vulnerabilities, each in a line, and what it could not tell."""

    found: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


def main() -> int:
    answers = {name: ask() for name, ask in _SERVICES.items()}
    for name, answer in answers.items():
        print(
            f"{name}: {len(answer.found)} known vulnerabilities, {len(answer.unanswered)} without an answer",
            *answer.found,
            sep="\n  ",
        )
    for name, answer in answers.items():
        if answer.unanswered:
            print(
                f"NOT CHECKED FOR VULNERABILITIES, {name}: {len(answer.unanswered)} without an answer", file=sys.stderr
            )
            print(*(f"  {line}" for line in answer.unanswered[:3]), sep="\n", file=sys.stderr)
    return 1 if any(answer.found for answer in answers.values()) else 0


def python() -> Answer:
    """Every package of requirements.lock, those of other Pythons excepted."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        uv = str(Path(sys.executable).with_name("uv"))
        _, failure = _run(
            [uv, "tool", "run", PIP_AUDIT, "--disable-pip", "--progress-spinner=off", "--format=json",
             f"--output={report}", f"--requirement={_ROOT / 'requirements.lock'}"], _ROOT,
        )  # fmt: skip
        return of_pip_audit(_json(report.read_text()) if report.exists() else {}, failure)


def typescript() -> Answer:
    """Every package of the TypeScript client's lock."""
    return of_npm(*_run(["npm", "audit", "--package-lock-only", "--json"], _ROOT / "clients/typescript"))


def web() -> Answer:
    """Every package of the web UI's lock."""
    return of_npm(*_run(["npm", "audit", "--package-lock-only", "--json"], _ROOT / "clients/web"))


def go() -> Answer:
    """The modules that the Go client calls."""
    return of_govulncheck(*_run(["go", "run", GOVULNCHECK, "-format=json", "./..."], _ROOT / "clients/go"))


def of_pip_audit(report: dict[str, Any], failure: str) -> Answer:
    """A report of pip-audit; `failure` is what it said when there is none. It fails for what it finds, too."""
    if "dependencies" not in report:
        return Answer(unanswered=[failure])
    answer = Answer()
    for one in report["dependencies"]:
        answer.unanswered += [one["skip_reason"]] if "skip_reason" in one else []
        answer.found += [
            f"{one['name']} {one['version']}: {vulnerability['id']}"
            for vulnerability in one.get("vulns", ())
            if IGNORED.keys().isdisjoint({vulnerability["id"], *vulnerability.get("aliases", ())})
        ]
    return answer


def of_npm(text: str, failure: str) -> Answer:
    """What `npm audit --json` printed. It fails for what it finds, too."""
    report = _json(text)
    if "vulnerabilities" not in report:
        return Answer(unanswered=[str(report.get("message") or failure)])
    return Answer(
        found=[
            f"{name}: {one.get('title', one['name'])} {one.get('url', '')}".strip()
            for name, package in report["vulnerabilities"].items()
            for one in package["via"]
            if isinstance(one, dict) and not any(known in one.get("url", "") for known in IGNORED)
        ]
    )


def of_govulncheck(text: str, failure: str) -> Answer:
    """The JSON objects that govulncheck printed, one behind the other; `failure` is why it did not end well."""
    if failure:
        return Answer(unanswered=[failure])
    decoder, found, rest = json.JSONDecoder(), set[str](), text.lstrip()
    while rest:
        one, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        if "finding" in one and one["finding"]["osv"] not in IGNORED:
            found.add(f"{one['finding']['trace'][0]['module']}: {one['finding']['osv']}")
    return Answer(found=sorted(found))


_SERVICES: dict[str, Callable[[], Answer]] = {"Python": python, "TypeScript": typescript, "web UI": web, "Go": go}


def _run(command: list[str], directory: Path) -> tuple[str, str]:
    """What the command printed, and why it failed; empty where it did not."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        done = subprocess.run(
            command, cwd=directory, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return done.stdout, _last_but_exit(done.stderr) if done.returncode else ""


def _last_but_exit(text: str) -> str:
    """The last line in which a program says why it failed."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("exit status")]
    return lines[-1] if lines else "it said nothing"


def _json(text: str) -> dict[str, Any]:
    try:
        found, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
