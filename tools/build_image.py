"""Builds the image of deploy/Dockerfile with buildah into an OCI archive: no daemon, no network inside the build.

Invariants: everything that pip installs is resolved and fetched outside, for the image's Python, pinned where
requirements.lock pins it; the base image is an OCI archive, never pulled; the store of images is thrown away. The image
holds its bill of materials, which an annotation names: what pip installs, and the base by its digest.
Docker and podman build the same file without this program (deploy/README.md).

Example: make build && python -m tools.build_image --base-archive python.tar --output build/penstock.tar
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import click

from tools import sbom

_ROOT = Path(__file__).resolve().parents[1]
_DOCKERFILE = _ROOT / "deploy" / "Dockerfile"
# The newest glibc that the base image may have to have: Debian 12's.
_GLIBC = 36
# The development environment's own version, and what demands it (docs/architecture.md).
_OVERRIDDEN = {"protobuf", "googleapis-common-protos"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Where deploy/Dockerfile puts it.
_SBOM = "/opt/penstock/sbom/image.cdx.json"


@click.command()
@click.option(
    "--base-archive",
    envvar="PENSTOCK_BASE_ARCHIVE",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="OCI archive of an image with Python and pip.",
)
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/penstock.tar"), show_default=True)
@click.option(
    "--tag", default="", help="Name in the archive; docker.io/penstock/penstock and our version unless given."
)
@click.option("--python", "python_version", default="3.11", show_default=True, help="The base image's Python.")
@click.option("--architecture", type=click.Choice(sorted(_MACHINES)), default="amd64", show_default=True)
@click.option("--dist", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, help="Our wheels.")
def main(base_archive: Path, output: Path, tag: str, python_version: str, architecture: str, dist: Path) -> None:
    """Build the image into an OCI archive."""
    wheels = sorted(dist.glob("penstock*.whl"))
    if len(wheels) != 2:
        raise click.ClickException(f"{dist} must hold the two wheels of `make build`, it has {len(wheels)}")
    tag = tag or f"docker.io/penstock/penstock:{wheels[0].name.split('-')[1]}"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="penstock-image-") as name:
        directory = Path(name)
        context = directory / "context"
        fetch_wheels(wheels, context / "dist", python_version, architecture)
        environment = installed(context / "dist", directory, python_version, architecture)
        sbom.write(sbom.of_image(environment, tag, base_digest(base_archive)), context / "dist" / Path(_SBOM).name)
        build(context, directory / "storage", base_archive, architecture, f"oci-archive:{output}:{tag}")
    click.echo(f"{output}: {tag}, {output.stat().st_size / 2**20:.0f} MiB")


def fetch_wheels(ours: list[Path], directory: Path, python_version: str, architecture: str) -> None:
    """Puts our wheels and all they need into `directory`. Raises CalledProcessError."""
    directory.mkdir(parents=True)
    for wheel in ours:
        shutil.copy(wheel, directory)
    machine = _MACHINES[architecture]
    constraints, wanted, resolved = (directory.parent / name for name in ("constraints", "wanted", "resolved"))
    constraints.write_text(_pins(_ROOT / "requirements.lock"))
    wanted.write_text("".join(f"{wheel.absolute()}\n" for wheel in ours))
    # Without the project's settings: they override what plain pip has to get right.
    _run(
        str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-config", "--no-header",
        "--no-annotate", "--python-version", python_version, "--python-platform", f"{machine}-manylinux_2_{_GLIBC}",
        "--constraint", str(constraints), "--output-file", str(resolved), str(wanted),
    )  # fmt: skip
    theirs = [line for line in resolved.read_text().splitlines() if "==" in line]
    resolved.write_text("".join(f"{line}\n" for line in theirs))
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(5, _GLIBC + 1)]
    platforms += [f"--platform={tag}_{machine}" for tag in ("manylinux1", "manylinux2010", "manylinux2014")]
    _run(
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--python-version", python_version, *platforms, "--dest", str(directory), "--requirement", str(resolved),
    )  # fmt: skip


def installed(dist: Path, directory: Path, python_version: str, architecture: str) -> sbom.Bom:
    """What the image's environment will hold. The wheels are unpacked below `directory`, as they may be of another
    Python and machine than ours. Raises CalledProcessError.
    """
    uv, empty, target = str(Path(sys.executable).with_name("uv")), directory / "empty", directory / "installed"
    _run(uv, "venv", "--quiet", "--no-config", "--python", sys.executable, str(empty))
    _run(
        uv, "pip", "install", "--quiet", "--no-config", "--no-deps", "--offline", "--target", str(target),
        "--python-version", python_version, "--python-platform", f"{_MACHINES[architecture]}-manylinux_2_{_GLIBC}",
        *map(str, sorted(dist.glob("*.whl"))),
    )  # fmt: skip
    return sbom.of_environment(empty / "bin" / "python", {"PYTHONPATH": str(target)})


def base_digest(archive: Path) -> str:
    """The digest of the manifest of an OCI archive's image."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        return str(json.load(index)["manifests"][0]["digest"])


def build(context: Path, storage: Path, base_archive: Path, architecture: str, destination: str) -> None:
    """Builds the Dockerfile over `context` and writes `destination`. Raises CalledProcessError."""
    if shutil.which("buildah") is None:
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "buildah")
    buildah = ["buildah", "--storage-driver", "vfs", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
    base = _run(*buildah, "pull", "--quiet", f"oci-archive:{base_archive}").strip()
    _run(
        *buildah, "build", "--isolation", "chroot", "--pull-never", "--format", "oci", "--arch", architecture,
        "--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1", "--file", str(_DOCKERFILE),
        "--annotation", f"dev.penstock.sbom={_SBOM}", "--tag", "penstock", str(context),
    )  # fmt: skip
    # Quick rather than small: registries compress anew what they are given.
    _run(*buildah, "push", "--quiet", "--compression-level", "1", "penstock", destination)


def _pins(lock: Path) -> str:
    """Versions of the lock without hashes."""
    lines = (line.removesuffix(" \\") for line in lock.read_text().splitlines() if re.match(r"[a-z0-9]", line))
    return "".join(f"{line}\n" for line in lines if line.split("==")[0] not in _OVERRIDDEN)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise click.ClickException(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
