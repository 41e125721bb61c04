"""What a session lets out before its commit, and what has to wait for it."""

from __future__ import annotations

import json

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.dispatch.session import RunSession, open_session
from penstock_executor.engine.effects import LookUpCache
from penstock_executor.engine.events import AttemptEnded, CacheAnswered, CachedResult, Outputs

from tests.support import specs


def opened(asked: list[str], *commands: str) -> RunSession:
    """A run of cached tasks `a`, `b`, ... one after another; `asked` gets the paths whose look-ups went out."""
    document = specs.chain({chr(97 + at): [command] for at, command in enumerate(commands)}, cached=True)
    claimed = pb.ClaimedRun(
        run_id="run-1",
        fence=1,
        pipeline_spec_json=json.dumps(document).encode(),
        policy=pb.RunPolicy(caching=True),
    )
    session = open_session(
        claimed,
        default_root="file:///root",
        workspace_path="/kfp-workspace",
        look_up=lambda _, effect: asked.append(effect.path),
    )
    session.resume([], 1, terminate=False)
    return session


def answered(session: RunSession, path: str, at: int, hit: CachedResult | None = None) -> None:
    node = session.node(path)
    assert node is not None
    assert session.deliver(CacheAnswered(path, node.fingerprint, at, hit))


def test_the_cache_is_not_asked_for_a_result_of_this_run_before_it_is_in() -> None:
    """Otherwise two messages race, and whether the second of two equal tasks runs is up to chance."""
    asked: list[str] = []
    session = opened(asked, "same", "same")
    assert asked == ["a"]
    answered(session, "a", 2)
    session.committed(session.take())
    assert session.deliver(AttemptEnded("a", 1, 3))
    assert asked == ["a"]
    batch = session.take()
    assert [entry.task_path for entry in batch.transitions.cache_entries] == ["a"]
    assert [effect.path for effect in batch.effects if isinstance(effect, LookUpCache)] == ["b"]
    session.committed(batch)
    assert asked == ["a", "b"]


def test_a_result_that_is_on_its_way_counts_as_not_in() -> None:
    """`b` comes from the cache while the result of `a` is still on its way; `c` equals `a`."""
    asked: list[str] = []
    session = opened(asked, "same", "other", "same")
    answered(session, "a", 2)
    session.committed(session.take())
    assert session.deliver(AttemptEnded("a", 1, 3))
    first = session.take()
    answered(session, "b", 4, CachedResult(Outputs()))
    assert asked == ["a", "b"]
    session.committed(first)
    session.committed(session.take())
    assert asked == ["a", "b", "c"]


def test_other_look_ups_go_out_at_once() -> None:
    asked: list[str] = []
    session = opened(asked, "one", "two")
    answered(session, "a", 2)
    assert session.deliver(AttemptEnded("a", 1, 3))
    assert asked == ["a", "b"]
