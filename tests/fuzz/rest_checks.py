"""Checks for schemathesis: a reply shows no internals of the server, and an error has a message."""

from __future__ import annotations

from typing import Any

import schemathesis

LEAKS = ("Traceback", "sqlalchemy", "SELECT ", "site-packages", "psycopg", "sqlite3.", 'File "')


@schemathesis.check
def nothing_unforeseen(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """501 is foreseen: a verb that a route does not have, a feature that the server has not."""
    if response.status_code >= 500 and response.status_code != 501:
        raise AssertionError(f"{response.status_code}: {response.content[:500]!r}")


@schemathesis.check
def nothing_leaks(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    text = response.content.decode("utf-8", "replace")
    for leak in LEAKS:
        # What the caller sent may come back in words.
        if response.status_code >= 400 and leak in text and leak not in repr(case.body):
            raise AssertionError(f"the reply shows {leak!r}: {text[:500]}")


@schemathesis.check
def errors_have_words(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    if response.status_code < 400 or case.method == "HEAD" or response.request.method == "HEAD":
        return
    document = response.json()
    if not (document.get("message") or document.get("error_message")):
        raise AssertionError(f"no words: {document}")
