"""A connection that nobody answers: after `Limits.connect` it is left for a fresh one.

Why it matters: where a network drops the first packets of a new Pod, the kernel asks again for half a minute and
longer, while a fresh connection goes through at once.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from penstock_store.base import Limits
from penstock_store.providers import parse_file
from penstock_store.router import RoutedStore

from tests.support.faulty import FaultyProxy, Refuse

_KEY = base64.b64encode(b"key").decode()
STORES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    "s3": (
        {"credentials": {"secretRef": {"secretName": "k", "accessKeyKey": "a", "secretKeyKey": "s"}}},
        {"PENSTOCK_STORE_S3_ACCESS_KEY": "a", "PENSTOCK_STORE_S3_SECRET_KEY": "s"},
    ),
    "gs": ({"credentials": {"fromEnv": True}}, {}),
    "az": (
        {"account": "me", "credentials": {"secretRef": {"secretName": "k", "accountKeyKey": "a"}}},
        {"PENSTOCK_STORE_AZ_ACCOUNT_KEY": _KEY},
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="what is asked for is read from /proc")
@pytest.mark.parametrize("scheme", STORES)
async def test_it_is_left_for_a_fresh_one(scheme: str) -> None:
    settings, environ = STORES[scheme]
    with FaultyProxy(0, unanswered=True) as proxy:
        proxy.always = Refuse("404 Not Found", "NoSuchKey")
        config = parse_file(json.dumps({"providers": {scheme: {"default": {**settings, "endpoint": proxy.endpoint}}}}))
        # The library's own limit is longer than its patience here.
        store = RoutedStore(config, environ, limits=Limits(retry_seconds=4, connect=0.3))
        content = asyncio.ensure_future(store.content(f"{scheme}://bucket/x", 10))
        asked = set[int]()
        while len(asked) < 3 and not content.done():
            asked |= proxy.asking()
            await asyncio.sleep(0.01)
        proxy.let_in()
        assert await content is None
        assert len(asked) == 3


def test_nobody_waits_longer_for_one() -> None:
    assert Limits().connect <= 5 < Limits().retry_seconds
