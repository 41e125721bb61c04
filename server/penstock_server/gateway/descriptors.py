"""What protobuf says of a field, for every version that we install with.

Why it exists: `is_repeated` came with protobuf 6.30, and from then on the older `label` warns.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor


def is_repeated(field: FieldDescriptor) -> bool:
    """Lists and maps."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    older: Any = field
    return bool(older.label == older.LABEL_REPEATED)
