"""An agent with the rights of its attempt alone: real agent processes, a real S3 server, sessions that bind."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.backends.kubernetes.task_store import SessionRequest, TaskStore
from penstock_ir.artifact import Artifact
from penstock_store.assume_role import RoleAssumer
from penstock_store.base import ArtifactStoreError, Limits
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_file
from penstock_store.router import RoutedStore
from penstock_store.session_keys import SessionKeys

from tests.support.pod import PodDirectory, finished
from tests.support.pods import launch
from tests.support.role_store import ROLE, RoleStore, role_store
from tools import object_stores

_PART = 8 * 1024 * 1024
# Well above the time in which the client does not ask for keys again (`fetch_backoff` of the object_store crate).
_KEPT_SECONDS = 0.5


@pytest.fixture(scope="module")
def s3() -> Iterator[object_stores.ObjectStore]:
    with object_stores.s3(["bucket", "models", "other"]) as store:
        yield store


@pytest.fixture
def roles(s3: object_stores.ObjectStore) -> Iterator[RoleStore]:
    with role_store(s3) as made:
        yield made


def config(roles: RoleStore, **role: Any) -> StoreConfig:
    """A deployment's settings, as somebody writes them."""
    default = {
        "endpoint": roles.endpoint,
        "region": "us-east-1",
        "credentials": {"fromEnv": True},
        "assumeRole": {"roleArn": ROLE, **role},
    }
    return parse_file(json.dumps({"providers": {"s3": {"default": default}}}))


def environ(roles: RoleStore) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": roles.store.access_key, "AWS_SECRET_ACCESS_KEY": roles.store.secret_key}


class Attempt:
    """One attempt's Pod in a directory, whose agent has what the executor gives it. `reads`: URIs of inputs."""

    def __init__(self, directory: Path, roles: RoleStore, *reads: str, **role: Any) -> None:
        directory.mkdir()
        self.roles = roles
        self.sessions = directory / "sessions"
        self.sessions.mkdir()
        root = f"s3://bucket/{directory.parent.name}"
        self.pod = PodDirectory(directory, root)
        given = {"data": [Artifact(str(index), "system.Dataset", uri) for index, uri in enumerate(reads)]}
        task = launch("true", task_root=self.pod.task_root, pipeline_root=root, artifacts={"model": "x"}, reads=given)
        self.store = TaskStore(config(roles, **role), task)
        document = json.loads(json.dumps(self.store.to_json()))
        for place in document["places"]:
            place["session_file"] = place["session_file"].replace("/penstock/sessions", str(self.sessions))
        self.pod.task = replace(self.pod.task, store=document)
        self.document: Mapping[str, Any] = document
        self.issue()

    def issue(self) -> SessionRequest:
        """As the executor does before the Pod is made, and again when half of the time is over."""
        (request,) = self.store.sessions()
        keys = RoleAssumer().assume(request.settings, environ(self.roles), request.policies, "penstock-test")
        self.write(request.file, keys)
        return request

    def write(self, file: str, keys: SessionKeys) -> None:
        """As the kubelet does: by a rename."""
        part = self.sessions / f".{file}"
        part.write_text(keys.to_json())
        part.replace(self.sessions / file)

    def reach(self) -> RoutedStore:
        """What whoever controls the agent can do with its credentials."""
        return RoutedStore(StoreConfig.from_json(self.document), {}, limits=Limits(retry_seconds=0))


def put(s3: object_stores.ObjectStore, uri: str, content: bytes) -> None:
    path = s3.directory / uri.removeprefix("s3://")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def stored(s3: object_stores.ObjectStore, uri: str) -> Path:
    return s3.directory / uri.removeprefix("s3://")


def test_inputs_and_outputs_of_its_own(tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore) -> None:
    """A file, a directory, something in several parts, and an input behind which nothing lies."""
    there = f"s3://bucket/{tmp_path.name}/pipeline/run/before/uuid"
    put(s3, f"{there}/single", b"single")
    put(s3, f"{there}/tree/deep/file", b"deep")
    put(s3, f"{there}/large", b"x" * (2 * _PART + 5))
    reads = [f"{there}/{name}" for name in ("single", "tree", "large", "nothing")]
    attempt = Attempt(tmp_path / "pod", roles, *reads)
    pod = attempt.pod
    single, tree, large, nothing = (pod.input(uri) for uri in reads)
    model, copy = pod.output("model"), pod.output("copy")
    script = f"cat {single} {tree}/deep/file; test ! -e {nothing}; mkdir {model}; echo m > {model}/w; cp {large} {copy}"
    result = pod.both(script)
    assert result.failure is None
    assert sorted(result.stored) == [f"{pod.task_root}/copy", f"{pod.task_root}/model"]
    assert result.log_stored
    assert stored(s3, f"{pod.task_root}/copy").stat().st_size == 2 * _PART + 5
    assert stored(s3, f"{pod.task_root}/model/w").read_text() == "m\n"
    assert stored(s3, f"{pod.task_root}/executor-logs").read_text() == "singledeep"


def test_what_was_stored_stays(tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore) -> None:
    """The rule that nothing is overwritten needs to see what lies at its own place."""
    attempt = Attempt(tmp_path / "pod", roles)
    put(s3, f"{attempt.pod.task_root}/model", b"earlier")
    model = attempt.pod.output("model")
    result = attempt.pod.both(f"echo other > {model}")
    assert result.failure is not None
    assert "something else lies there already" in result.failure[1]
    assert stored(s3, f"{attempt.pod.task_root}/model").read_bytes() == b"earlier"


async def test_nothing_of_anothers(tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore) -> None:
    root = f"s3://bucket/{tmp_path.name}"
    given, others = f"{root}/pipeline/run/before/uuid/given", f"{root}/pipeline/run/before/other/secret"
    beside = f"{given}-2"
    for uri in (given, others, beside):
        put(s3, uri, b"content")
    attempt = Attempt(tmp_path / "pod", roles, given)
    store = attempt.reach()
    own = attempt.pod.task_root
    assert await store.content(given, 100) == b"content"
    await store.write(b"mine", f"{own}/mine")
    assert await store.content(f"{own}/mine", 100) == b"mine"
    for uri in (others, beside, f"{root}/nothing"):
        with pytest.raises(ArtifactStoreError, match=r"access denied .*`outputRoots` of `assumeRole`"):
            await store.fetch(uri, tmp_path / "fetched")
        with pytest.raises(ArtifactStoreError, match="access denied"):
            await store.content(uri, 100)
    for uri in ("s3://bucket", root, f"{root}/pipeline/run", f"{root}/pipeline/run/before", "s3://other"):
        with pytest.raises(ArtifactStoreError, match="access denied"):
            list(store.list(uri))
    for uri in (given, others, f"{root}/new", f"{own}-2/x", "s3://other/x"):
        for content in (b"forged", b"f" * (_PART + 1)):
            source = tmp_path / "source"
            source.write_bytes(content)
            with pytest.raises(ArtifactStoreError, match=r"access denied|something else lies there already"):
                await store.upload(source, uri)
            with pytest.raises(ArtifactStoreError, match="access denied"):
                await store.upload(source, uri, replace=True)
    assert [stored(s3, uri).read_bytes() for uri in (given, others, beside)] == [b"content"] * 3
    assert not any(stored(s3, uri).exists() for uri in (f"{root}/new", f"{own}-2", "s3://other/x"))


def test_where_it_may_not_store_the_setting_is_named(
    tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore
) -> None:
    attempt = Attempt(tmp_path / "pod", roles)
    pod, place = attempt.pod, f"s3://models/{tmp_path.name}/latest"
    pod.output("model")
    script = f"mkdir -p {pod.place(place).parent}; echo m > {pod.place(place)}\n" + pod.say({"model": [{"uri": place}]})
    result = pod.both(script)
    assert result.failure is not None
    assert result.failure[0] == "configuration"
    assert re.search(r"access denied .*`outputRoots` of `assumeRole`", result.failure[1])
    assert not stored(s3, place).exists()


def test_output_roots(tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore) -> None:
    attempt = Attempt(tmp_path / "pod", roles, outputRoots=[f"s3://models/{tmp_path.name}"])
    pod, place = attempt.pod, f"s3://models/{tmp_path.name}/latest"
    pod.output("model")
    script = f"mkdir -p {pod.place(place).parent}; echo m > {pod.place(place)}\n" + pod.say({"model": [{"uri": place}]})
    assert pod.both(script).failure is None
    assert stored(s3, place).read_text() == "m\n"


def test_keys_that_expire_meanwhile_are_renewed(
    tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore
) -> None:
    """The program runs for longer than the session that its inputs were brought with."""
    given = f"s3://bucket/{tmp_path.name}/pipeline/run/before/uuid/given"
    put(s3, given, b"given")
    # So little that the client asks for the keys before each request.
    roles.seconds = 60
    attempt = Attempt(tmp_path / "pod", roles, given)
    pod = attempt.pod
    brought, model = pod.input(given), pod.output("model")
    go = tmp_path / "go"
    os.mkfifo(go)
    agent = pod.agent()
    program = pod.wrapper(f"cp {brought} {model}; read line < {go}")
    with go.open("w") as gate:
        # The inputs are there: opening the pipe waits for its reader.
        (session,) = roles.sessions.values()
        attempt.issue()
        # Keys that the client has just read it uses for a tenth of a second, whatever is in their file by then; from
        # then on it can only have the new ones.
        time.sleep(_KEPT_SECONDS)
        session.expires_at = time.time() - 1
        gate.write("on\n")
    finished(program)
    finished(agent)
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.failure is None
    assert stored(s3, f"{pod.task_root}/model").read_bytes() == b"given"
    assert len(roles.sessions) == 2


async def test_keys_that_nobody_renewed_are_no_fault_of_the_task(tmp_path: Path, roles: RoleStore) -> None:
    attempt = Attempt(tmp_path / "pod", roles)
    (session,) = roles.sessions.values()
    session.expires_at = 0
    with pytest.raises(ArtifactStoreError, match="have expired, and the executor") as raised:
        await attempt.reach().write(b"x", f"{attempt.pod.task_root}/x")
    assert raised.value.transient


async def test_a_place_without_keys(tmp_path: Path, roles: RoleStore) -> None:
    attempt = Attempt(tmp_path / "pod", roles)
    next(attempt.sessions.iterdir()).unlink()
    with pytest.raises(ArtifactStoreError, match=r"no right there; it has .*`outputRoots` of `assumeRole`"):
        await attempt.reach().write(b"x", f"{attempt.pod.task_root}/x")


def test_many_inputs_are_read_by_their_directories(
    tmp_path: Path, s3: object_stores.ObjectStore, roles: RoleStore
) -> None:
    there = f"s3://bucket/{tmp_path.name}/pipeline/run"
    reads = [f"{there}/task-{number}/{'u' * 36}/data" for number in range(60)]
    for uri in reads:
        put(s3, uri, b"given")
    attempt = Attempt(tmp_path / "pod", roles, *reads)
    (session,) = roles.sessions.values()
    assert len(session.asked["Policy"]) <= 2048
    for uri in reads:
        attempt.pod.input(uri)
    assert attempt.pod.both("true").failure is None


def test_what_is_asked_for(tmp_path: Path, roles: RoleStore) -> None:
    Attempt(tmp_path / "pod", roles, externalId="ours", durationSeconds=900)
    (session,) = roles.sessions.values()
    asked = {name: value for name, value in session.asked.items() if name not in ("Policy", "Version")}
    assert asked == {
        "Action": "AssumeRole",
        "RoleArn": ROLE,
        "RoleSessionName": "penstock-test",
        "ExternalId": "ours",
        "DurationSeconds": "900",
    }


def test_a_policy_that_is_too_large_when_packed(tmp_path: Path, roles: RoleStore) -> None:
    """AWS counts in a way of its own."""
    roles.refusals = [(400, "PackedPolicyTooLarge")]
    root = f"s3://bucket/{tmp_path.name}/pipeline/run"
    Attempt(tmp_path / "pod", roles, f"{root}/a/uuid/data")
    (session,) = roles.sessions.values()
    assert f"{root}/a/uuid/*".removeprefix("s3://") in session.asked["Policy"]


@pytest.mark.parametrize(
    ("refusal", "transient"),
    [((403, "AccessDenied"), False), ((500, "InternalFailure"), True), ((400, "Throttling"), True)],
)
def test_a_service_that_gives_none(tmp_path: Path, roles: RoleStore, refusal: tuple[int, str], transient: bool) -> None:
    roles.refusals = [refusal]
    with pytest.raises(ArtifactStoreError, match=r"^providers\.s3\.default\.assumeRole: http://.*\(") as raised:
        Attempt(tmp_path / "pod", roles)
    assert raised.value.transient is transient
    assert roles.store.secret_key not in str(raised.value)


def test_a_service_that_is_away(tmp_path: Path, roles: RoleStore) -> None:
    with pytest.raises(ArtifactStoreError, match="cannot be reached") as raised:
        Attempt(tmp_path / "pod", roles, endpoint="http://127.0.0.1:1")
    assert raised.value.transient
