"""The session policy that cuts a role's rights down to what one attempt needs (docs/stores.md, "An attempt's rights").

Invariants: pure and deterministic. Right to a URI is right to the object of that key and to all below it, never to one
that merely begins with the same letters. A policy that would be too long names directories instead of artifacts, never
one above that of a run; artifacts outside of the root are always named one by one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from penstock_store.base import ArtifactStoreError
from penstock_store.uris import ObjectUri, parse

MAX_POLICY = 2048
"""Characters that STS takes."""
_LEVELS = (4, 3, 2)
"""Directories below the pipeline root that may stand for what lies in them: those of an attempt, a task, a run
(`<pipeline>/<run>/<task>/<uuid>`)."""
_WILDCARDS = ("*", "?", "${")


@dataclass(frozen=True, slots=True)
class Rights:
    """URIs that are read, and URIs under which may be written and read. `root` is the pipeline root of the run."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    root: str


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """`directory`: all below it, and no object of just this name."""

    bucket: str
    key: str
    directory: bool


def session_policies(rights: Rights, role_arn: str) -> list[str]:
    """The policies that fit, the narrowest first; each further one is for a service that finds those before too large.

    Raises ArtifactStoreError when none fits, and for places that no right can be given to.
    """
    reads = [_location(uri) for uri in rights.reads]
    writes = sorted({_Place(one.bucket, one.key, True) for one in map(_location, rights.writes)})
    root = parse(rights.root)
    below = f"{root.key.strip('/')}/".lstrip("/")
    partition = role_arn.split(":")[1] if role_arn.startswith("arn:") else "aws"
    policies: list[str] = []
    for level in (None, *_LEVELS):
        places = {_place(one, root, below, level) for one in reads}
        policy = _policy(_without_covered(places.union(writes)), writes, partition)
        if len(policy) <= MAX_POLICY and policy not in policies:
            policies.append(policy)
    if not policies:
        raise ArtifactStoreError(
            f"the attempt has {len(rights.reads)} inputs at places so different that no session policy of "
            f"{MAX_POLICY} characters names them: copy them to one place, or hand fewer over"
        )
    return policies


def _location(uri: str) -> ObjectUri:
    """Raises ArtifactStoreError."""
    found = parse(uri)
    key = found.key.rstrip("/")
    if not key:
        raise ArtifactStoreError(f"{uri}: an attempt gets no right to a whole bucket; name a place in it")
    if any(mark in part for mark in _WILDCARDS for part in (found.bucket, key)):
        raise ArtifactStoreError(f"{uri}: an attempt gets no right to a place with '*', '?' or '${{' in its name")
    return ObjectUri(found.scheme, found.bucket, key)


def _place(one: ObjectUri, root: ObjectUri, below: str, level: int | None) -> _Place:
    """The place itself, or of one that lies deeper than `level` directories below the root the last of these."""
    exact = _Place(one.bucket, one.key, directory=False)
    if level is None or (one.scheme, one.bucket) != (root.scheme, root.bucket) or not one.key.startswith(below):
        return exact
    segments = one.key[len(below) :].split("/")
    if len(segments) <= level:
        return exact
    return _Place(one.bucket, below + "/".join(segments[:level]), directory=True)


def _without_covered(places: Collection[_Place]) -> list[_Place]:
    """In order, without those that another one holds."""
    holders = {(place.bucket, place.key) for place in places}
    whole = {(place.bucket, place.key) for place in places if not place.directory}

    def is_held(place: _Place) -> bool:
        if place.directory and (place.bucket, place.key) in whole:
            return True
        above = accumulate(place.key.split("/")[:-1], lambda path, segment: f"{path}/{segment}")
        return any((place.bucket, path) in holders for path in above)

    return sorted(place for place in places if not is_held(place))


def _policy(reads: Sequence[_Place], writes: Sequence[_Place], partition: str) -> str:
    arn = f"arn:{partition}:s3:::"
    statements: list[dict[str, Any]] = [{"Action": "s3:GetObject", "Resource": _resources(arn, reads)}]
    if writes:
        actions = ["s3:PutObject", "s3:AbortMultipartUpload"]
        statements.append({"Action": actions, "Resource": _resources(arn, writes)})
    for bucket in sorted({place.bucket for place in reads}):
        prefixes = [f"{place.key}/*" for place in reads if place.bucket == bucket]
        statements.append(
            {
                "Action": "s3:ListBucket",
                "Resource": arn + bucket,
                "Condition": {"StringLike": {"s3:prefix": prefixes}},
            }
        )
    allowed = [{"Effect": "Allow", **statement} for statement in statements]
    document = {"Version": "2012-10-17", "Statement": allowed}
    return json.dumps(document, separators=(",", ":"))


def _resources(arn: str, places: Sequence[_Place]) -> list[str]:
    names = [f"{arn}{place.bucket}/{place.key}" for place in places]
    return [
        one
        for name, place in zip(names, places, strict=True)
        for one in ([f"{name}/*"] if place.directory else [name, f"{name}/*"])
    ]
