"""Makes the generated code: stubs in Python, Go and TypeScript of every proto under api/penstock_api, and the IR.

Invariants: one route (the protoc of grpcio-tools and plugins of the versions pinned here and in package-lock.json), so
equal protos give equal bytes. `--check` writes nothing and fails with a list when what is committed differs from what
the protos give, stale files included. ML Metadata's service is made from the descriptors in its wheel.

Example: python tools/generate.py --check
"""

from __future__ import annotations

import argparse
import filecmp
import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import openapi

ROOT = Path(__file__).resolve().parent.parent
API = ROOT / "api"
STUBS = ROOT / "clients" / "python"
GO = ROOT / "clients" / "go" / "api"
TYPESCRIPT = ROOT / "clients" / "typescript" / "src" / "gen"
DESCRIPTORS = ROOT / "executor" / "penstock_ir" / "descriptors"
OPENAPI = ROOT / "server" / "penstock_server" / "gateway" / "openapi"
ROOTS = (STUBS / "penstock_api", DESCRIPTORS, GO, TYPESCRIPT, OPENAPI)
GENERATOR_VERSION = "1.62.3"
GO_MODULE = "penstock.dev/go"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1",
}
GO_BIN = ROOT / "build" / "bin"
# Go and Node of the development environment first.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
# The public API; what server and executor say to each other is nobody else's.
PUBLIC = ("v1", "v1beta1", "v2beta1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    arguments = parser.parse_args()
    try:
        version = importlib.metadata.version("grpcio-tools")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != GENERATOR_VERSION:
        print(
            f"needs grpcio-tools {GENERATOR_VERSION}, found {version}; it exists for Python 3.10 to 3.12: "
            "run `make clean`, then `make setup PYTHON=python3.12`",
            file=sys.stderr,
        )
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
    generate_clients(target)
    generate_openapi(target)


def generate_clients(target: Path) -> None:
    """Go and TypeScript, of the public API and of ML Metadata."""
    public = sorted(
        str(path.relative_to(API)) for name in PUBLIC for path in (API / "penstock_api" / name).glob("*.proto")
    )
    go, typescript = target / GO.relative_to(ROOT), target / TYPESCRIPT.relative_to(ROOT)
    go.mkdir(parents=True)
    typescript.mkdir(parents=True)
    plugins = go_plugins()
    es = typescript_plugin()
    with tempfile.TemporaryDirectory() as scratch:
        metadata = Path(scratch) / "ml_metadata.binpb"
        names = write_metadata_descriptors(metadata)
        packages = {name: f"{GO_MODULE}/api/{Path(name).parent.name}" for name in public}
        packages.update(dict.fromkeys(names, f"{GO_MODULE}/api/ml_metadata"))
        options = [f"module={GO_MODULE}/api", *(f"M{name}={package}" for name, package in packages.items())]
        for source, files in (
            ([f"-I{API}", f"-I{API / 'third_party'}"], public),
            ([f"--descriptor_set_in={metadata}"], names),
        ):
            run_protoc(
                *source,
                *(f"--plugin={name}={path}" for name, path in plugins.items()),
                f"--plugin=protoc-gen-es={es}",
                f"--go_out={go}",
                f"--go-grpc_out={go}",
                *(f"--{kind}_opt={option}" for kind in ("go", "go-grpc") for option in options),
                f"--es_out={typescript}",
                "--es_opt=target=ts,import_extension=js",
                *files,
            )
        # TypeScript has no package of its own for the annotations that the API's files import.
        run_protoc(
            f"-I{API / 'third_party'}", f"--plugin=protoc-gen-es={es}", f"--es_out={typescript}",
            "--es_opt=target=ts,import_extension=js",
            "google/api/annotations.proto", "google/api/http.proto", "google/rpc/status.proto",
        )  # fmt: skip


def generate_openapi(target: Path) -> None:
    """Where the gateway serves it from."""
    files = sorted(
        str(path.relative_to(API)) for name in PUBLIC for path in (API / "penstock_api" / name).glob("*.proto")
    )
    directory = target / OPENAPI.relative_to(ROOT)
    directory.mkdir(parents=True)
    with tempfile.NamedTemporaryFile() as scratch:
        run_protoc(
            f"-I{API}", f"-I{API / 'third_party'}", f"--descriptor_set_out={scratch.name}",
            "--include_imports", "--include_source_info", *files,
        )  # fmt: skip
        found = descriptor_pb2.FileDescriptorSet.FromString(Path(scratch.name).read_bytes())
    (directory / "openapi.json").write_text(openapi.document(found.file))


def go_plugins() -> dict[str, Path]:
    """The paths of the plugins by name, which are built if they are missing or of another version."""
    GO_BIN.mkdir(parents=True, exist_ok=True)
    for name, module in GO_PLUGINS.items():
        mark = GO_BIN / f".{name}"
        if not (GO_BIN / name).exists() or not mark.exists() or mark.read_text() != module:
            environment = {**os.environ, "PATH": PATH, "GOBIN": str(GO_BIN)}
            subprocess.run(["go", "install", module], env=environment, check=True)
            mark.write_text(module)
    return {name: GO_BIN / name for name in GO_PLUGINS}


def typescript_plugin() -> Path:
    """Installed from the client's lock file when it is missing."""
    package = TYPESCRIPT.parent.parent
    plugin = package / "node_modules" / ".bin" / "protoc-gen-es"
    if not plugin.exists():
        install = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(install, cwd=package, env={**os.environ, "PATH": PATH}, check=True)
    return plugin


def write_metadata_descriptors(path: Path) -> list[str]:
    """Writes ML Metadata's service and all it imports as a FileDescriptorSet; the names of its own files."""
    service = importlib.import_module("ml_metadata.proto.metadata_store_service_pb2").DESCRIPTOR
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: Any) -> None:
        if file.name not in found:
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(found.setdefault(file.name, descriptor_pb2.FileDescriptorProto()))

    add(service)
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=found.values()).SerializeToString())
    return [name for name in found if not name.startswith("google/")]


def protoc(includes: list[Path], *arguments: str) -> None:
    plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    run_protoc(f"--plugin=protoc-gen-mypy_grpc={plugin}", *(f"-I{path}" for path in includes), *arguments)


def run_protoc(*arguments: str) -> None:
    # protoc-gen-es is a Node program.
    environment = {**os.environ, "PATH": PATH}
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], cwd=ROOT, env=environment, check=True)


def differences(generated: Path) -> list[str]:
    """Paths that are missing, stale or different, relative to the repository."""
    paths = []
    for root in ROOTS:
        relative = root.relative_to(ROOT)
        fresh = {path.relative_to(generated) for path in (generated / relative).rglob("*") if path.is_file()}
        present = {
            path.relative_to(ROOT)
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        }
        paths += [f"missing: {path}" for path in sorted(fresh - present)]
        paths += [f"stale: {path}" for path in sorted(present - fresh)]
        paths += [
            f"different: {path}"
            for path in sorted(fresh & present)
            if not filecmp.cmp(generated / path, ROOT / path, shallow=False)
        ]
    return paths


def report(paths: list[str]) -> int:
    for line in paths:
        print(line, file=sys.stderr)
    if paths:
        print("generated code differs from the protos; run `make generate` and commit the result", file=sys.stderr)
        return 1
    print("generated code is what the protos give")
    return 0


def install(generated: Path) -> None:
    for root in ROOTS:
        if root.exists():
            shutil.rmtree(root)
        shutil.copytree(generated / root.relative_to(ROOT), root)


if __name__ == "__main__":
    sys.exit(main())
