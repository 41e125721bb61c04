"""Configures logging: text lines or JSON objects, on stderr.

Invariants: one line per call that changes something or fails at level info, with method, status, duration, request id
and, where the call is about one, the run's id; reads that went well and executors' calls, of which there are many, at
debug. Never a request's content.
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
    handler.setFormatter(
        JsonFormatter(_JSON, rename_fields=renamed, json_ensure_ascii=False)
        if style == "json"
        else LineFormatter(_TEXT)
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
