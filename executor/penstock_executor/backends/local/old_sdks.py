"""Prepares a task environment for components that were compiled by an SDK before 2.5 (`artifact_paths` says why).

Invariant: each file appears whole, so tasks that run in the environment already never see a part of one.
"""

from __future__ import annotations

import uuid
from pathlib import Path

_NAME = "penstock_artifact_paths"
_FILES = {
    f"{_NAME}.py": Path(__file__).with_name("artifact_paths.py").read_bytes(),
    # Every Python of the environment carries this line out when it starts.
    f"{_NAME}.pth": f"import {_NAME}\n".encode(),
}


def prepare(environment: Path) -> bool:
    """Puts the two files beside the packages of a virtual environment, where they are not yet; whether it put any.

    Raises OSError.
    """
    changed = False
    for packages in environment.glob("lib/python3*/site-packages"):
        for name, content in _FILES.items():
            target = packages / name
            if not target.is_file() or target.read_bytes() != content:
                part = packages / f".{name}.{uuid.uuid4().hex}"
                part.write_bytes(content)
                part.replace(target)
                changed = True
    return changed
