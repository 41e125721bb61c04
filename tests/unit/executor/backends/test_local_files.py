"""The paths of files as a local task sees them, and their stored URIs."""

from __future__ import annotations

from pathlib import Path

from penstock_executor.backends.local.inputs import TaskFiles

OWN = "/attempt/inputs/given/0/view/data"
IMPORTED = TaskFiles((), Path("/root/task"), {OWN: "file:///users/data"})
ELSEWHERE = TaskFiles((), Path("/attempt/task"), {"/attempt/task": "s3://bucket/task", OWN: "file:///users/data"})


def test_an_input_that_is_handed_on_is_what_was_imported() -> None:
    assert IMPORTED.stored_uri(OWN) == IMPORTED.stored_uri(f"file://{OWN}") == "file:///users/data"
    assert IMPORTED.stored_uri(f"{OWN}/part") == "file:///users/data/part"
    # It lies where it always was: what the task saw is there for the task alone.
    assert IMPORTED.path_of("file:///users/data/part") == Path("/users/data/part")


def test_what_goes_to_an_object_store_lies_here_first() -> None:
    assert ELSEWHERE.stored_uri("/attempt/task/model") == "s3://bucket/task/model"
    assert ELSEWHERE.path_of("s3://bucket/task/model") == Path("/attempt/task/model")
    assert ELSEWHERE.path_of("s3://bucket/another/model") is None
    assert ELSEWHERE.path_of("file:///users/data") == Path("/users/data")
