"""Amounts of memory, cores and devices as Kubernetes writes them: `500m`, `2`, `1.5Gi`, `1e9`.

Invariant: pure; what Kubernetes would not read is None, never guessed.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation

_FACTORS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}
_QUANTITY = re.compile(r"([+-]?[0-9.]{1,40}(?:[eE][+-]?[0-9]{1,2})?)([A-Za-z]*)")


def parse_quantity(text: object) -> Decimal | None:
    """The amount in bytes, cores or pieces."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None or match.group(2) not in _FACTORS:
        return None
    try:
        return Decimal(match.group(1)) * _FACTORS[match.group(2)]
    except InvalidOperation:
        return None


def bytes_text(amount: Decimal) -> str:
    """At least that many bytes: in whole Gi where it is one, else in whole Mi."""
    mebibytes = int((amount / _FACTORS["Mi"]).to_integral_value(ROUND_CEILING))
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
