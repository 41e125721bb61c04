"""Field masks: which fields of an answer a caller wants (google.protobuf.FieldMask, AIP-157).

Why here and not in `rpc`: whoever reads for an answer asks the same mask what may be left out, so that a mask spares
work and not only bytes. Invariants: a mask is a tree of fields as the protos name them; how many paths one has, and how
long they are, is bounded before anything is looked for; equal masks have equal tags, in whatever order and form they
were sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock_server.errors import InvalidArgumentError

# The system parameter of Google's APIs, as a key of a call's metadata and as a header.
FIELD_MASK = "x-goog-fieldmask"
PARAMETER = "fields"
"""As errors name it, and as REST does: a parameter of the query string."""
MAX_PATHS = 100
MAX_PATH = 200
WILDCARD = "*"
_PACKAGES = ("kubeflow.pipelines.backend.api.v2beta1", "penstock.v1")
_READS = ("Get", "List")
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldMask:
    """`tree` has the fields that are wanted, each with those below it; None is all there is, an empty one nothing."""

    tree: Mapping[str, FieldMask] | None = None
    tag: str = field(default="", compare=False)
    """Of a whole call's mask: the same for equal masks, empty where everything is wanted."""

    def wants(self, *names: str) -> bool:
        """Whether any of these fields is wanted, or something below it."""
        return self.tree is None or any(name in self.tree for name in names)

    def under(self, name: str) -> FieldMask:
        """Of what is below a field."""
        return self if self.tree is None else self.tree.get(name, NOTHING)


EVERYTHING = FieldMask()
NOTHING = FieldMask({})


def takes_mask(method: str) -> bool:
    """Whether answers of a method can be masked: those of Get and List, but not of older APIs or ML Metadata.

    `method` is the full path of the RPC, `/package.Service/Method`.
    """
    service, _, name = method.removeprefix("/").partition("/")
    return service.rpartition(".")[0] in _PACKAGES and name.startswith(_READS)


def paths_of(text: str) -> list[Path]:
    """The paths of a mask, by their parts. Raises InvalidArgumentError."""
    if text.count(",") >= MAX_PATHS:
        raise InvalidArgumentError(f"it has more than {MAX_PATHS} paths", PARAMETER)
    paths = [path.strip() for path in text.split(",")]
    for path in paths:
        if len(path) > MAX_PATH:
            raise InvalidArgumentError(f"the path {path[:80]!r}… is longer than {MAX_PATH} characters", PARAMETER)
        if not all(path.split(".")):
            raise InvalidArgumentError(
                f"{path!r} is no path: names of fields with dots between them, such as runs.run_id", PARAMETER
            )
    return [tuple(path.split(".")) for path in paths]


def mask_of(paths: Iterable[Path]) -> FieldMask:
    """The mask of paths whose parts are names of fields."""
    nested: dict[str, Any] = {}
    for path in paths:
        at: dict[str, Any] | None = nested
        for name in path[:-1]:
            # None is a whole field, and has what is below it.
            at = at.setdefault(name, {}) if at is not None else None
        if at is not None:
            at[path[-1]] = None
    text = ",".join(sorted(".".join(path) for path in _ends(nested)))
    return FieldMask(_tree(nested), hashlib.blake2b(text.encode(), digest_size=8).hexdigest())


def _tree(nested: Mapping[str, Any]) -> Mapping[str, FieldMask]:
    return {name: EVERYTHING if below is None else FieldMask(_tree(below)) for name, below in nested.items()}


def _ends(nested: Mapping[str, Any], before: Path = ()) -> Iterator[Path]:
    for name, below in nested.items():
        if below is None:
            yield (*before, name)
        else:
            yield from _ends(below, (*before, name))
