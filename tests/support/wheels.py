"""Wheels made on the spot: packages of which a test knows every version."""

from __future__ import annotations

import zipfile
from pathlib import Path


def wheel(directory: Path, name: str, version: str) -> Path:
    """A wheel of a module that has the version as `version` and prints it when it is run."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(f"{name}.py", f"version = {version!r}\n\n\ndef main():\n    print(version)\n")
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        out.writestr(
            f"{info}/RECORD", "".join(f"{file},,\n" for file in (f"{name}.py", f"{info}/METADATA", f"{info}/RECORD"))
        )
    return path
