"""What we rely on of a Kubernetes API server, as one suite: it runs on the simulated server and on a real cluster.

Invariants: every test makes objects of its own names in the namespace of its Place, and asks nothing that a cluster
does not promise: waits have a limit, but nothing is expected to be fast.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)

from tools.sim_kube.outcome import ANNOTATION

_numbers = itertools.count(1)
WAIT_SECONDS = 120


@dataclass(frozen=True)
class Place:
    """A namespace of one's own; `image` is one that its nodes have and that has a shell."""

    cluster: Cluster
    namespace: str
    image: str

    def path(self, plural: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def pod(self, name: str, script: str, **outcome: Any) -> dict[str, Any]:
        """A Pod whose container `main` runs `script`; `outcome` tells a simulated node what a real one finds out."""
        main = {"name": "main", "image": self.image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}
        return {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": {"test": name}, "annotations": {ANNOTATION: json.dumps(outcome)}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": False,
                "containers": [main],
            },
        }

    @asynccontextmanager
    async def client(self) -> AsyncIterator[KubeClient]:
        """A client for as long as a test may take."""
        async with KubeClient(self.cluster) as client:
            with anyio.fail_after(WAIT_SECONDS):
                yield client


def fresh(stem: str) -> str:
    return f"{stem}-{next(_numbers)}"


def config_map(name: str, /, **labels: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}, "data": {"key": "1"}}


async def watched(
    client: KubeClient, path: str, version: str, until: Callable[[dict[str, Any]], bool], **options: Any
) -> list[dict[str, Any]]:
    """The events from `version` on, up to the first that `until` is true of. Bookmarks are left out."""
    events = []
    while True:
        async with aclosing(client.watch(path, resource_version=version, timeout_seconds=60, **options)) as watch:
            async for event in watch:
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                events.append(event)
                if until(event):
                    return events


async def life_of(
    client: KubeClient, place: Place, pod: dict[str, Any], until: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Creates the Pod and returns the objects of its events up to the first that `until` is true of."""
    name = pod["metadata"]["name"]
    listed = await client.list_all(place.path("pods"), f"test={name}")
    await client.create(place.path("pods"), pod)
    events = await watched(
        client,
        place.path("pods"),
        listed.resource_version,
        lambda event: until(event["object"]),
        label_selector=f"test={name}",
    )
    return [event["object"] for event in events]


def phase_is(*phases: str) -> Callable[[dict[str, Any]], bool]:
    return lambda pod: pod["status"]["phase"] in phases


def waiting_reason(pod: dict[str, Any]) -> str:
    return _waiting(pod, "reason")


def waiting_message(pod: dict[str, Any]) -> str:
    return _waiting(pod, "message")


def _waiting(pod: dict[str, Any], field: str) -> str:
    statuses = pod["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get(field, ""))


def terminated(pod: dict[str, Any], container: str = "main") -> dict[str, Any]:
    found = [status for status in pod["status"]["containerStatuses"] if status["name"] == container]
    return dict(found[0]["state"]["terminated"])


class KubernetesContract:
    """Test methods; a subclass provides the fixture `place`."""

    async def test_a_created_object_is_completed_by_the_server(self, place: Place) -> None:
        name = fresh("made")

        async with place.client() as client:
            made = await client.create(place.path("configmaps"), config_map(name, kind="made"))
            metadata = made["metadata"]
            assert metadata["name"] == name and metadata["namespace"] == place.namespace
            assert (
                metadata["uid"]
                and metadata["resourceVersion"].isdecimal()
                and metadata["creationTimestamp"].endswith("Z")
            )
            assert metadata["labels"] == {"kind": "made"}
            assert made["data"] == {"key": "1"}
            assert (await client.get(place.path("configmaps", name)))["metadata"]["uid"] == metadata["uid"]

    async def test_a_name_is_taken_once(self, place: Place) -> None:
        name = fresh("once")

        async with place.client() as client:
            await client.create(place.path("configmaps"), config_map(name))
            with pytest.raises(AlreadyExistsError) as refused:
                await client.create(place.path("configmaps"), config_map(name))
            assert refused.value.status == 409 and refused.value.reason == "AlreadyExists"
            assert name in refused.value.message

    async def test_what_is_no_object_is_refused(self, place: Place) -> None:
        async with place.client() as client:
            with pytest.raises(InvalidError) as refused:
                await client.create(place.path("configmaps"), config_map("Not_A_Name"))
            assert refused.value.status == 422
            with pytest.raises(InvalidError):
                await client.create(place.path("pods"), {**place.pod(fresh("no"), ""), "spec": {"containers": []}})

    async def test_what_is_not_there_is_not_found(self, place: Place) -> None:
        async with place.client() as client:
            for call in (
                client.get(place.path("configmaps", "nowhere")),
                client.delete(place.path("pods", "nowhere")),
                client.patch_merge(place.path("configmaps", "nowhere"), {"data": {}}),
                client.create("/api/v1/namespaces/no-such-namespace-here/configmaps", config_map("a")),
            ):
                with pytest.raises(NotFoundError):
                    await call

    async def test_a_uid_protects_the_successor(self, place: Place) -> None:
        name = fresh("uid")

        async with place.client() as client:
            first = await client.create(place.path("configmaps"), config_map(name))
            await client.delete(place.path("configmaps", name), uid=first["metadata"]["uid"])
            second = await client.create(place.path("configmaps"), config_map(name))
            assert second["metadata"]["uid"] != first["metadata"]["uid"]
            with pytest.raises(ConflictError):
                await client.delete(place.path("configmaps", name), uid=first["metadata"]["uid"])
            await client.delete(place.path("configmaps", name), uid=second["metadata"]["uid"])
            with pytest.raises(NotFoundError):
                await client.get(place.path("configmaps", name))

    async def test_a_patch_merges(self, place: Place) -> None:
        name = fresh("patch")

        async with place.client() as client:
            made = await client.create(place.path("configmaps"), config_map(name, old="1"))
            patch = {"metadata": {"labels": {"old": None, "new": "2"}}, "data": {"more": "3"}}
            changed = await client.patch_merge(place.path("configmaps", name), patch)
            assert changed["metadata"]["labels"] == {"new": "2"}
            assert changed["data"] == {"key": "1", "more": "3"}
            assert changed["metadata"]["uid"] == made["metadata"]["uid"]
            assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])

    @pytest.mark.parametrize(
        ("selector", "chosen"),
        [
            ("color=red", "a"), ("color==red", "a"), ("color!=red", "bc"), ("color", "ab"), ("!color", "c"),
            ("color in (red, blue)", "ab"), ("color notin (red)", "bc"), ("color,size=big", "b"), ("", "abc"),
        ],
    )  # fmt: skip
    async def test_a_list_is_what_the_labels_select(self, place: Place, selector: str, chosen: str) -> None:
        stem = fresh("select")
        labels: dict[str, dict[str, str]] = {"a": {"color": "red"}, "b": {"color": "blue", "size": "big"}, "c": {}}

        async with place.client() as client:
            for end, some in labels.items():
                await client.create(place.path("configmaps"), config_map(f"{stem}-{end}", stem=stem, **some))
            full = f"stem={stem}" + (f",{selector}" if selector else "")
            found = await client.list_all(place.path("configmaps"), full)
            assert [item["metadata"]["name"] for item in found.items] == [f"{stem}-{end}" for end in chosen]

    async def test_chunks_belong_to_one_version(self, place: Place) -> None:
        stem = fresh("chunk")

        async with place.client() as client:
            for number in range(7):
                await client.create(place.path("configmaps"), config_map(f"{stem}-{number}", stem=stem))
            names, versions = [], []
            async with aclosing(client.pages(place.path("configmaps"), f"stem={stem}", limit=3)) as pages:
                async for page in pages:
                    names.append([item["metadata"]["name"] for item in page.items])
                    versions.append(page.resource_version)
                    if len(names) == 1:
                        await client.create(place.path("configmaps"), config_map(f"{stem}-late", stem=stem))
                        await client.delete(place.path("configmaps", f"{stem}-6"))
            assert [len(page) for page in names] == [3, 3, 1]
            assert list(itertools.chain(*names)) == [f"{stem}-{number}" for number in range(7)]
            assert len(set(versions)) == 1

    async def test_a_watch_tells_what_happened_after_the_list(self, place: Place) -> None:
        name = fresh("watch")

        async with place.client() as client:
            path = place.path("configmaps")
            await client.create(path, config_map(f"{name}-before", name=name))
            listed = await client.list_all(path, f"name={name}")
            await client.create(path, config_map(name, name=name))
            await client.patch_merge(f"{path}/{name}", {"data": {"key": "2"}})
            await client.delete(f"{path}/{name}")
            events = await watched(
                client,
                path,
                listed.resource_version,
                lambda event: event["type"] == "DELETED",
                label_selector=f"name={name}",
            )
            assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
            assert [event["object"]["data"]["key"] for event in events] == ["1", "2", "2"]
            assert len({event["object"]["metadata"]["uid"] for event in events}) == 1
            versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
            assert versions == sorted(set(versions)) and versions[0] > int(listed.resource_version)
            resumed = await watched(
                client, path, str(versions[0]), lambda event: event["type"] == "DELETED", label_selector=f"name={name}"
            )
            assert [event["type"] for event in resumed] == ["MODIFIED", "DELETED"]

    async def test_a_watch_selects_by_labels_as_they_change(self, place: Place) -> None:
        name = fresh("relabel")

        async with place.client() as client:
            path = place.path("configmaps")
            listed = await client.list_all(path, f"mark={name}")
            await client.create(path, config_map(name))
            await client.patch_merge(f"{path}/{name}", {"metadata": {"labels": {"mark": name}}})
            await client.patch_merge(f"{path}/{name}", {"data": {"key": "2"}})
            await client.patch_merge(f"{path}/{name}", {"metadata": {"labels": {"mark": None}}})
            events = await watched(
                client,
                path,
                listed.resource_version,
                lambda event: event["type"] == "DELETED",
                label_selector=f"mark={name}",
            )
            assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]

    async def test_a_watch_ends_in_time(self, place: Place) -> None:
        async with place.client() as client:
            path = place.path("configmaps")
            listed = await client.list_all(path)
            watch = client.watch(
                path, resource_version=listed.resource_version, label_selector="no=such", timeout_seconds=1
            )
            async with aclosing(watch):
                assert {event["type"] async for event in watch} <= {"BOOKMARK"}

    async def test_bookmarks_carry_a_watch_over_what_it_did_not_select(self, place: Place) -> None:
        async with place.client() as client:
            path = place.path("configmaps")
            listed = await client.list_all(path)
            made = await client.create(path, config_map(fresh("mark"), other="1"))
            # Bookmarks are no promise (KEP-956): a watch may get none; if it does, right before its end at the latest.
            events: list[dict[str, Any]] = []
            while not events:
                watch = client.watch(
                    path, resource_version=listed.resource_version, label_selector="no=such", timeout_seconds=30
                )
                async with aclosing(watch):
                    async for event in watch:
                        events.append(event)
                        break
            (event,) = events
            assert event["type"] == "BOOKMARK"
            reached = int(event["object"]["metadata"]["resourceVersion"])
            assert reached >= int(made["metadata"]["resourceVersion"])

    async def test_a_version_that_is_not_yet_there(self, place: Place) -> None:
        """A watch from there says nothing, not even that; a server restored from a backup is such a place."""

        async with place.client() as client:
            path = place.path("configmaps")
            watch = client.watch(path, resource_version="999999999999", timeout_seconds=3)
            async with aclosing(watch):
                await client.create(path, config_map(fresh("early")))
                assert [event async for event in watch] == []
            with pytest.raises(UnavailableError) as refused:
                async with KubeClient(place.cluster, deadline=1.0) as hasty:
                    await hasty.get(path, resourceVersion="999999999999")
            assert refused.value.status in (0, 504)

    async def test_a_pod_that_succeeds(self, place: Place) -> None:
        name = fresh("good")
        pod = place.pod(
            name, "echo hello; printf result > /dev/termination-log", messages={"main": "result"}, log="hello\n"
        )

        async with place.client() as client:
            life = await life_of(client, place, pod, phase_is("Succeeded", "Failed"))
            phases = [phase for phase, _ in itertools.groupby(step["status"]["phase"] for step in life)]
            # A program this short may have ended before the kubelet saw it run.
            assert phases in (["Pending", "Running", "Succeeded"], ["Pending", "Succeeded"])
            assert len({step["metadata"]["uid"] for step in life}) == 1
            assert "nodeName" not in life[0]["spec"]
            last = life[-1]
            assert last["spec"]["nodeName"]
            assert last["status"]["startTime"] and last["status"]["qosClass"] == "BestEffort"
            conditions = {condition["type"]: condition["status"] for condition in last["status"]["conditions"]}
            assert conditions["PodScheduled"] == "True" and conditions["Ready"] == "False"
            end = terminated(last)
            assert (end["exitCode"], end["reason"], end["message"]) == (0, "Completed", "result")
            assert end["startedAt"] <= end["finishedAt"]
            assert last["status"]["containerStatuses"][0]["restartCount"] == 0

    async def test_a_pod_that_fails(self, place: Place) -> None:
        pod = place.pod(fresh("bad"), "exit 3", exit_code=3)

        async with place.client() as client:
            last = (await life_of(client, place, pod, phase_is("Succeeded", "Failed")))[-1]
            assert last["status"]["phase"] == "Failed"
            assert (terminated(last)["exitCode"], terminated(last)["reason"]) == (3, "Error")

    async def test_a_container_that_takes_too_much_memory(self, place: Place) -> None:
        pod = place.pod(fresh("oom"), "tail /dev/zero", kind="oom")
        pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "20Mi"}}

        async with place.client() as client:
            last = (await life_of(client, place, pod, phase_is("Succeeded", "Failed")))[-1]
            assert (terminated(last)["exitCode"], terminated(last)["reason"]) == (137, "OOMKilled")

    async def test_a_deadline(self, place: Place) -> None:
        pod = place.pod(fresh("deadline"), "sleep 60", seconds=60)
        pod["spec"]["activeDeadlineSeconds"] = 1

        async with place.client() as client:
            last = (await life_of(client, place, pod, phase_is("Succeeded", "Failed")))[-1]
            assert last["status"]["phase"] == "Failed"
            assert last["status"]["reason"] == "DeadlineExceeded"
            assert last["status"]["message"]

    async def test_an_image_that_cannot_be_pulled(self, place: Place) -> None:
        pod = place.pod(fresh("pull"), "true", kind="image-pull")
        pod["spec"]["containers"][0]["image"] = "nowhere.invalid/no/such:1"

        async with place.client() as client:
            life = await life_of(client, place, pod, lambda step: waiting_reason(step) == "ImagePullBackOff")
            reasons = [reason for reason in map(waiting_reason, life) if reason]
            assert set(reasons) <= {"ContainerCreating", "ErrImagePull", "ImagePullBackOff"}
            assert {step["status"]["phase"] for step in life} == {"Pending"}
            assert "nowhere.invalid/no/such:1" in waiting_message(life[-1])
            with pytest.raises(InvalidError) as refused:
                async with aclosing(client.log(place.namespace, pod["metadata"]["name"], "main")) as log:
                    async for _ in log:
                        pass
            assert "is waiting to start" in refused.value.message

    async def test_an_image_that_has_no_name(self, place: Place) -> None:
        pod = place.pod(fresh("name"), "true", kind="invalid-image")
        pod["spec"]["containers"][0]["image"] = "No::Name"

        async with place.client() as client:
            life = await life_of(client, place, pod, lambda step: waiting_reason(step) == "InvalidImageName")
            assert life[-1]["status"]["phase"] == "Pending"

    async def test_a_configuration_that_is_missing(self, place: Place) -> None:
        pod = place.pod(fresh("config"), "true", kind="config-error")
        reference = {"name": "missing", "key": "key"}
        pod["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]

        async with place.client() as client:
            # Before it has read the object, the kubelet says only that.
            life = await life_of(client, place, pod, lambda step: "missing" in waiting_message(step))
            assert life[-1]["status"]["phase"] == "Pending"
            assert waiting_reason(life[-1]) == "CreateContainerConfigError"

    async def test_a_pod_that_fits_nowhere(self, place: Place) -> None:
        name = fresh("nowhere")
        pod = place.pod(name, "true", kind="unschedulable")
        pod["spec"]["nodeSelector"] = {"no": "such-node"}

        def is_refused(step: dict[str, Any]) -> bool:
            conditions = step["status"].get("conditions") or []
            return any(one["type"] == "PodScheduled" and one["status"] == "False" for one in conditions)

        async with place.client() as client:
            last = (await life_of(client, place, pod, is_refused))[-1]
            condition = last["status"]["conditions"][0]
            assert condition["reason"] == "Unschedulable" and "nodes are available" in condition["message"]
            assert last["status"]["phase"] == "Pending" and not last["status"].get("containerStatuses")
            # Nothing runs, so there is nothing to wait for.
            await client.delete(place.path("pods", name))
            with pytest.raises(NotFoundError):
                await client.get(place.path("pods", name))

    async def test_the_deletion_of_a_pod_that_runs(self, place: Place) -> None:
        name = fresh("stop")
        pod = place.pod(name, "sleep 600", kind="runs-forever")

        async with place.client() as client:
            running = (await life_of(client, place, pod, phase_is("Running")))[-1]["metadata"]
            answer = await client.delete(place.path("pods", name), uid=running["uid"])
            assert answer["metadata"]["deletionTimestamp"]
            again = await client.delete(place.path("pods", name), uid=running["uid"])
            assert again["metadata"]["uid"] == running["uid"]
            events = await watched(
                client,
                place.path("pods"),
                running["resourceVersion"],
                lambda event: event["type"] == "DELETED",
                label_selector=f"test={name}",
            )
            assert events[0]["type"] == "MODIFIED" and events[0]["object"]["metadata"]["deletionTimestamp"]
            assert [event["type"] for event in events[:-1]] == ["MODIFIED"] * (len(events) - 1)
            # The last word is told before the object is gone.
            assert events[-1]["object"]["status"]["phase"] == "Failed"
            assert terminated(events[-1]["object"])["exitCode"] in (137, 143)

    async def test_the_deletion_of_a_pod_that_has_ended(self, place: Place) -> None:
        name = fresh("ended")

        async with place.client() as client:
            ended = (await life_of(client, place, place.pod(name, "true"), phase_is("Succeeded")))[-1]["metadata"]
            await client.delete(place.path("pods", name), uid=ended["uid"])
            with pytest.raises(NotFoundError):
                await client.get(place.path("pods", name))
            events = await watched(
                client,
                place.path("pods"),
                ended["resourceVersion"],
                lambda event: event["type"] == "DELETED",
                label_selector=f"test={name}",
            )
            assert events[-1]["object"]["status"]["phase"] == "Succeeded"

    async def test_the_deletion_of_a_pod_without_grace(self, place: Place) -> None:
        name = fresh("kill")
        pod = place.pod(name, "sleep 600", kind="runs-forever")

        async with place.client() as client:
            await life_of(client, place, pod, phase_is("Running"))
            await client.delete(place.path("pods", name), grace_seconds=0)
            with pytest.raises(NotFoundError):
                await client.get(place.path("pods", name))

    async def test_logs(self, place: Place) -> None:
        name = fresh("log")
        pod = place.pod(name, "echo one; echo two; echo three", log="one\ntwo\nthree\n")

        async def text(client: KubeClient, **options: Any) -> str:
            async with aclosing(client.log(place.namespace, name, "main", **options)) as log:
                return b"".join([piece async for piece in log]).decode()

        async with place.client() as client:
            await life_of(client, place, pod, phase_is("Succeeded"))
            assert await text(client) == "one\ntwo\nthree\n"
            assert await text(client, tail_lines=1) == "three\n"
            assert await text(client, limit_bytes=5) == "one\nt"
            assert await text(client, follow=True) == "one\ntwo\nthree\n"
            with pytest.raises(NotFoundError):
                async with aclosing(client.log(place.namespace, "nowhere", "main")) as log:
                    async for _ in log:
                        pass

    async def test_a_log_that_is_followed_ends_with_the_container(self, place: Place) -> None:
        name = fresh("follow")
        pod = place.pod(name, "echo begins; sleep 3; exit 0", log="begins\n", seconds=1)

        async with place.client() as client:
            await life_of(client, place, pod, phase_is("Running"))
            async with aclosing(client.log(place.namespace, name, "main", follow=True)) as log:
                assert b"".join([piece async for piece in log]) == b"begins\n"

    async def test_secrets_take_text(self, place: Place) -> None:
        name = fresh("secret")

        async with place.client() as client:
            document = {"metadata": {"name": name}, "stringData": {"password": "é"}}
            made = await client.create(place.path("secrets"), document)
            assert made["data"] == {"password": "w6k="} and made["type"] == "Opaque"
