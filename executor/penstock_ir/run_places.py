"""Where a run keeps its artifacts and logs: the URI below which every attempt of it has its own place.

Why shared: the executor writes there, and the server tells by it whose an object is. Both must mean the same place.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._ -]")


def run_place(root: str, pipeline: str, run_id: str) -> str:
    """`<root>/<pipeline>/<run>` (executor.md §3.4), `root` a URI; names cannot climb out of the root."""
    return "/".join((root.split("?", 1)[0].rstrip("/"), place_segment(pipeline), run_id))


def place_segment(text: str) -> str:
    """A name as one segment of a place, never empty and never `.` or `..`."""
    cleaned = _UNSAFE.sub("-", text)
    return cleaned if cleaned.strip(". ") else f"_{len(cleaned)}"
