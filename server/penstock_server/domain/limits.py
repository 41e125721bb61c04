"""Lengths, names, tags and labels (api.md §2.4). Limits count bytes, as upstream's do.

Invariant: a violation is an InvalidArgumentError that names the field, where upstream returns 500.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock_server.errors import InvalidArgumentError

EXPERIMENT_NAME = 128
PIPELINE_NAME = 128
VERSION_NAME = 127
RUN_NAME = 512
NAMESPACE = 63
MAX_TAGS = 20
TAG = 63
LABEL_VALUE = 255
DESCRIPTION = 64 * 1024


def check_length(value: str, field: str, limit: int, label: str = "") -> None:
    """Raises InvalidArgumentError when the UTF-8 form has more than `limit` bytes or cannot be stored."""
    if "\0" in value:
        raise InvalidArgumentError("it holds a NUL character", field)
    if len(value.encode("utf-8", "surrogatepass")) > limit:
        raise InvalidArgumentError(f"{label or field} length cannot exceed {limit}", field)


def check_name(value: str, field: str, limit: int, label: str = "") -> None:
    """Raises InvalidArgumentError for an empty name, and one of more than `limit` bytes."""
    if not value.strip():
        raise InvalidArgumentError("name is required", field)
    check_length(value, field, limit, label)


def check_tags(tags: Mapping[str, str], field: str = "tags") -> None:
    """Raises InvalidArgumentError for the first tag that is too long, has no key or a dot in it, and for too many."""
    if len(tags) > MAX_TAGS:
        raise InvalidArgumentError(f"at most {MAX_TAGS} tags are allowed, got {len(tags)}", field)
    for key, value in tags.items():
        if not key:
            raise InvalidArgumentError("a tag has an empty key", field)
        if "." in key:
            raise InvalidArgumentError(f"the tag key {key[:80]!r} holds a dot", field)
        check_length(key, f"{field}.{key[:80]}", TAG, "tag key")
        check_length(value, f"{field}.{key}", TAG, "tag value")


def check_labels(labels: Mapping[str, str], field: str) -> None:
    """Raises InvalidArgumentError for the first label that is too long or has no key, and for too many."""
    if len(labels) > MAX_TAGS:
        raise InvalidArgumentError(f"at most {MAX_TAGS} labels are allowed, got {len(labels)}", field)
    for key, value in labels.items():
        if not key:
            raise InvalidArgumentError("a label has an empty key", field)
        check_length(key, f"{field}.{key[:80]}", TAG, "label key")
        check_length(value, f"{field}.{key}", LABEL_VALUE, "label value")
