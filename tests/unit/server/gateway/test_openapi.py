"""The OpenAPI document is valid, and has the gateway's routes, no more and no fewer."""

from __future__ import annotations

import json
import re
from importlib import resources

from openapi_spec_validator import validate

from tests.support.routes import routes

DOCUMENT = json.loads((resources.files("penstock_server.gateway") / "openapi" / "openapi.json").read_bytes())


def test_it_is_valid() -> None:
    validate(DOCUMENT)


def test_it_has_every_route() -> None:
    described = {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
    # `{pipeline.pipeline_id}` is named by its last part.
    served = {(verb, re.sub(r"\{\w+\.(\w+)\}", r"{\1}", path)) for verb, path in routes()}
    assert described == served


def test_every_operation_says_how_it_fails() -> None:
    for verbs in DOCUMENT["paths"].values():
        for operation in verbs.values():
            assert {"200", "400", "404", "503"} <= operation["responses"].keys()
