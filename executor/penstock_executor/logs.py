"""How the executor writes its log: lines for people, or JSON objects for machines, on stderr.

Invariants: never what a task was given or gave; a record is one line, whatever its message holds, a traceback besides.
"""

from __future__ import annotations

import logging
import sys

from penstock.terminal_text import LineFormatter
from pythonjsonlogger.json import JsonFormatter

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(level: str, style: str) -> None:
    """`style` is `json` or `text`. Replaces whatever handlers the root logger has."""
    handler = logging.StreamHandler(sys.stderr)
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    machine = JsonFormatter(_JSON, rename_fields=renamed, json_ensure_ascii=False)
    handler.setFormatter(machine if style == "json" else LineFormatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
