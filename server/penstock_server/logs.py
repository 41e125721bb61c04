"""Configures logging: text lines or JSON objects, on stderr.

Invariants: one line per call that changes something or fails at level info, with method, status, duration, request id
and, where the call is about one, the run's id; reads that went well and executors' calls, of which there are many, at
debug. Never a request's content. Where a server has several processes, each line has the number of the one it is from.
"""

from __future__ import annotations

import logging
import sys

from penstock.terminal_text import LineFormatter
from pythonjsonlogger.json import JsonFormatter

_TEXT = "%(asctime)s %(levelname)s {process}%(name)s: %(message)s"
_JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(level: str, style: str, process: int | None = None) -> None:
    """`style` is `json` or `text`; `process` is this one's number, None for the only one.

    Replaces whatever handlers the root logger has.
    """
    handler = logging.StreamHandler(sys.stderr)
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    own = {} if process is None else {"server_process": process}
    handler.setFormatter(
        JsonFormatter(_JSON, rename_fields=renamed, static_fields=own, json_ensure_ascii=False)
        if style == "json"
        else LineFormatter(_TEXT.format(process="" if process is None else f"[{process}] "))
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
