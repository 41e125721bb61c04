"""Injected faults between a client and the simulated server.

Invariant: with one seed and one order of requests, the same requests go wrong.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACTIONS = ("status", "hang", "hang-after", "drop", "drop-after")


@dataclass
class Fault:
    """`action`: answer with `status`, never answer, or close the connection; `-after` means that the request was
    carried out. It befalls requests whose method and path match, with probability `rate`, at most `times` of them."""

    action: str = "status"
    status: int = 500
    method: str = ".*"
    path: str = ".*"
    rate: float = 1.0
    times: int | None = None
    retry_after: int = 1
    reason: str = ""
    message: str = "injected"

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"no such action: {self.action}; known are {', '.join(ACTIONS)}")

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> Fault:
        return Fault(**document)


class Faults:
    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._active.append(fault)

    def clear(self) -> None:
        self._active.clear()

    def pick(self, method: str, path: str) -> Fault | None:
        for fault in self._active:
            if fault.times == 0 or not re.fullmatch(fault.method, method) or not re.search(fault.path, path):
                continue
            if self._random.random() < fault.rate:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
