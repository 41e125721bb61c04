"""The rows of docs/semantics.md, cell by cell: the topic first, what proves it last."""

from __future__ import annotations

from tests.support.tables import rows

ROWS = rows("semantics.md", "topic")
