"""Makes the generated code: Python stubs of every proto under api/penstock_api, and the descriptor set of the IR.

Invariants: one route (grpcio-tools of the version pinned here), so equal protos give equal bytes. `--check` writes
nothing and fails with a list when what is committed differs from what the protos give, stale files included.

Example: python tools/generate.py --check
"""

from __future__ import annotations

import argparse
import filecmp
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
API = ROOT / "api"
STUBS = ROOT / "clients" / "python"
DESCRIPTORS = ROOT / "executor" / "penstock_ir" / "descriptors"
GENERATOR_VERSION = "1.62.3"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    arguments = parser.parse_args()
    try:
        version = importlib.metadata.version("grpcio-tools")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != GENERATOR_VERSION:
        print(f"needs grpcio-tools {GENERATOR_VERSION} (Python 3.10 to 3.12), found {version}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        generate(made)
        if arguments.check:
            return report(differences(made))
        install(made)
    return 0


def generate(target: Path) -> None:
    """Writes everything below `target`, laid out as in the repository."""
    stubs = target / STUBS.relative_to(ROOT)
    stubs.mkdir(parents=True)
    protos = sorted(str(path.relative_to(API)) for path in (API / "penstock_api").rglob("*.proto"))
    protoc(
        [API, API / "third_party"],
        *(f"--{kind}_out={stubs}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")),
        *protos,
    )
    for directory in {stubs / "penstock_api", *(path.parent for path in stubs.rglob("*_pb2.py"))}:
        while directory != stubs:
            (directory / "__init__.py").touch()
            directory = directory.parent
    (stubs / "penstock_api" / "py.typed").touch()
    descriptors = target / DESCRIPTORS.relative_to(ROOT)
    descriptors.mkdir(parents=True)
    protoc(
        [API / "ir", API / "third_party"],
        f"--descriptor_set_out={descriptors / 'ir.binpb'}",
        "--include_imports",
        "pipeline_spec.proto",
        "kubernetes_executor_config.proto",
    )


def protoc(includes: list[Path], *arguments: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in includes), *arguments]
    plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    subprocess.run([*command[:3], f"--plugin=protoc-gen-mypy_grpc={plugin}", *command[3:]], cwd=ROOT, check=True)


def differences(made: Path) -> list[str]:
    """Paths that are missing, stale or different, relative to the repository."""
    found = []
    for root in (STUBS / "penstock_api", DESCRIPTORS):
        relative = root.relative_to(ROOT)
        fresh = {path.relative_to(made) for path in (made / relative).rglob("*") if path.is_file()}
        present = {
            path.relative_to(ROOT)
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        }
        found += [f"missing: {path}" for path in sorted(fresh - present)]
        found += [f"stale: {path}" for path in sorted(present - fresh)]
        found += [
            f"different: {path}"
            for path in sorted(fresh & present)
            if not filecmp.cmp(made / path, ROOT / path, shallow=False)
        ]
    return found


def report(found: list[str]) -> int:
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("generated code differs from the protos; run `make generate` and commit the result", file=sys.stderr)
        return 1
    print("generated code is what the protos give")
    return 0


def install(made: Path) -> None:
    for root in (STUBS / "penstock_api", DESCRIPTORS):
        if root.exists():
            shutil.rmtree(root)
        shutil.copytree(made / root.relative_to(ROOT), root)


if __name__ == "__main__":
    sys.exit(main())
