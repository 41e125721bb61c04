"""Two tenants on a cluster, each with a namespace, a bucket and keys of its own; the author of team b's pipelines tries
to get at what is team a's by whatever a pipeline, or the program of a task, can do.

What an editor tries by the API alone is in test_tenants.py. Invariants: all runs are begun before any is looked at;
nothing is waited for that passes by itself; what is secret of team a holds one word, which is then looked for.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import hostile_pipelines as hostile
from tests.support.hostile_pipelines import CALLS, PIPELINES
from tests.support.replicas import Program
from tests.support.teams_on_cluster import AUDIENCE, Teams, bind, login, role_of_manifests, teams_on_cluster
from tools import object_stores
from tools.cluster import Cluster
from tools.testing import kube_specs, runs

A, B, EXECUTOR = "default-editor of a", "default-editor of b", "penstock-executor"
V2, OWN = "/apis/v2beta1", "/apis/penstock/v1"
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
LISTS = {
    "secrets": "mine-*",
    "configMaps": "mine-*",
    "claims": "mine-*",
    "deletableClaims": "*",
    "pipelineRoots": "s3://team-b/*",
    "importUris": "s3://team-b/*",
}
TOKEN = {"serviceAccountToken": {"audience": AUDIENCE, "path": "token"}}
TEMPLATE = {
    "spec": {
        "volumes": [{"name": "who", "projected": {"sources": [TOKEN]}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "who", "mountPath": "/var/run/who"}]}],
    }
}
# The same pipeline, word for word, is run by both teams. Its second task has a key by which results are kept.
SECRETIVE = 'printf %s "$KFP_POD_NAME" > /tmp/kfp/outputs/text; echo "$1"; cp /tmp/kfp/outputs/text "$0"'
KEPT = "the same for both"


@dataclass
class Tenants:
    """`words` are what attempts name; `store` is where buckets lie as files, `secret` what is team a's alone."""

    teams: Teams
    store: Path
    executor: Program
    secret: str
    words: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """Of the calls of `CALLS`, as the audit log has them."""
    before: dict[str, bytes] = field(default_factory=dict)

    def start(self, who: str, experiment: str, spec: Mapping[str, Any], root: str = "") -> str:
        """A run of this pipeline: its id."""
        document: dict[str, Any] = {"display_name": "x", "experiment_id": experiment, "pipeline_spec": spec}
        if root:
            document["runtime_config"] = {"pipeline_root": root}
        reply = self.teams.rest(who, "POST", f"{V2}/runs", document)
        assert reply.status == 200, reply.body
        return str(reply.json["run_id"])

    def tasks(self, who: str, run_id: str) -> dict[str, Any]:
        reply = self.teams.rest(who, "GET", f"{OWN}/runs/{run_id}/tasks")
        assert reply.status == 200, reply.body
        return {one.get("path", ""): one for one in reply.json.get("tasks", ())}

    def ended(self, who: str, run_id: str) -> dict[str, Any]:
        def run() -> Any:
            return self.teams.rest(who, "GET", f"{V2}/runs/{run_id}").json

        found: dict[str, Any] = runs.until(run, lambda one: one.get("state") in ENDED, 240)
        return found

    def files(self, bucket: str) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.store)): path.read_bytes()
            for path in sorted((self.store / bucket).rglob("*"))
            if path.is_file()
        }

    def experiment(self, who: str, namespace: str) -> str:
        self.teams.may(who, namespace)
        reply = self.teams.rest(who, "POST", f"{V2}/experiments", {"display_name": "e", "namespace": namespace})
        assert reply.status == 200, reply.body
        return str(reply.json["experiment_id"])


def secretive(words: str) -> dict[str, Any]:
    """What is cached by its inputs, and what is cached by a key."""
    place = "{{$.outputs.artifacts['data'].path}}"
    command = ["sh", "-c", SECRETIVE, place, words]
    spec = kube_specs.container(command, name="secretive", outputs=["text"], artifacts={"data": "system.Dataset"})
    tasks = spec["pipeline_spec"]["root"]["dag"]["tasks"]
    tasks["only"]["cachingOptions"] = {"enableCache": True}
    tasks["keyed"] = {
        **tasks["only"],
        "taskInfo": {"name": "keyed"},
        "cachingOptions": {"enableCache": True, "cacheKey": KEPT},
    }
    return spec


@pytest.fixture(scope="module")
def tenants(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    directory = tmp_path_factory.mktemp("hostile")
    host, image = cluster.node_address(), os.environ["PENSTOCK_IMAGE"]
    keys = {team: uuid.uuid4().hex for team in ("team-a", "team-b")}
    with ExitStack() as stack:
        s3 = stack.enter_context(object_stores.s3(["own", *keys], host=host, owners=keys))
        config = directory / "store.yaml"
        config.write_text(yaml.safe_dump({**providers(s3.endpoint), "roots": [f"s3://{team}" for team in keys]}))
        # Server and executor reach all buckets: what is refused is not refused for want of keys.
        environment = {
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_REGION": "us-east-1",
            "PENSTOCK_STORE_CONFIG": str(config),
            "PENSTOCK_ARTIFACTS": "s3://own/root",
        }
        teams = stack.enter_context(
            teams_on_cluster(cluster, directory, host=host, executors=[EXECUTOR], environment=environment)
        )
        openly = stack.enter_context(cluster.namespace("team-b-open"))
        found = Tenants(
            teams, s3.directory, executor_of(teams, directory, environment, image), f"of-{uuid.uuid4().hex}"
        )
        stack.callback(found.executor.kill)
        for namespace, bucket in ((teams.a, "team-a"), (teams.b, "team-b"), (openly, "team-b")):
            furnish(teams, namespace, s3.endpoint, bucket, keys[bucket], LISTS if namespace == teams.b else {})
        teams.account(openly, "default-editor")
        bind(cluster, openly, "ClusterRole", "kubeflow-edit", "default-editor", teams.b)
        found.executor.start()
        found.executor.ready()
        fill(found)
        begin(found, openly, host, s3.endpoint, image)
        yield found


def providers(endpoint: str, credentials: Mapping[str, Any] | None = None) -> dict[str, Any]:
    default = {"endpoint": endpoint, "region": "us-east-1", "forcePathStyle": True}
    return {"providers": {"s3": {"default": {**default, "credentials": credentials or {"fromEnv": True}}}}}


def executor_of(teams: Teams, directory: Path, environment: Mapping[str, str], image: str) -> Program:
    cluster = teams.cluster
    teams.account(teams.own, EXECUTOR)
    role_of_manifests(cluster, teams.own, EXECUTOR, teams.own)
    token = directory / "token"
    token.write_text(teams.token(teams.own, EXECUTOR, "penstock-dispatch"))
    settings = {
        **environment,
        "KUBECONFIG": str(login(cluster, teams.own, EXECUTOR, directory)),
        "PENSTOCK_NAMESPACE": teams.own,
        "PENSTOCK_INSTANCE": teams.own,
        "PENSTOCK_AGENT_IMAGE": image,
    }
    arguments = [
        "penstock_executor.main", "--backend", "kubernetes", "--server", teams.dispatch, "--token-file", str(token),
        "--data-dir", str(directory / "executor"), "--parallelism", "100",
    ]  # fmt: skip
    return Program("executor", arguments, directory, {**os.environ, **settings})


def furnish(teams: Teams, namespace: str, endpoint: str, bucket: str, secret: str, lists: Mapping[str, str]) -> None:
    """What the namespace of a team has: the Roles of the manifests, a store of its own, its lists."""
    core = f"/api/v1/namespaces/{namespace}"
    for account in (EXECUTOR, "penstock-server"):
        role_of_manifests(teams.cluster, namespace, account, teams.own)
    keys = {"access": bucket, "secret": secret}
    teams.cluster.create(f"{core}/secrets", {"metadata": {"name": "penstock-store"}, "stringData": keys})
    reference = {"secretName": "penstock-store", "accessKeyKey": "access", "secretKeyKey": "secret"}
    stores = providers(endpoint, {"fromEnv": False, "secretRef": reference})["providers"]
    launcher = {"defaultPipelineRoot": f"s3://{bucket}/root", "providers": yaml.safe_dump(stores)}
    teams.cluster.create(f"{core}/configmaps", {"metadata": {"name": "kfp-launcher"}, "data": launcher})
    # Under lists the worse case, too: there a program can end its wrapper.
    template = {"spec": {**TEMPLATE["spec"], "shareProcessNamespace": bool(lists)}}
    policy = {**lists, "podTemplate": yaml.safe_dump(template)}
    teams.cluster.create(f"{core}/configmaps", {"metadata": {"name": "penstock"}, "data": policy})


def fill(tenants: Tenants) -> None:
    """What is team a's: a run that has ended, one that runs until it is told to end, names of Kubernetes."""
    teams, secret = tenants.teams, tenants.secret
    core = f"/api/v1/namespaces/{teams.a}"
    teams.cluster.create(f"{core}/secrets", {"metadata": {"name": "secret-of-a"}, "stringData": {"k": secret}})
    teams.cluster.create(f"{core}/configmaps", {"metadata": {"name": "map-of-a"}, "data": {"k": secret}})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    for namespace, name in ((teams.a, "claim-of-a"), (teams.b, "penstock-data")):
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
        teams.cluster.create(path, {"metadata": {"name": name}, "spec": spec})
    experiment = tenants.experiment(A, teams.a)
    long = tenants.start(A, experiment, kube_specs.shell(f"echo {secret}; sleep 3600", name="long", outputs=["text"]))
    run = tenants.start(A, experiment, secretive(secret))
    ended = tenants.ended(A, run)
    tasks = tenants.tasks(A, run)
    assert ended["state"] == "SUCCEEDED", [task.get("error") for task in tasks.values()]
    (artifact,) = (
        one
        for one in teams.rest(A, "GET", f"{OWN}/artifacts?run_id={run}").json["artifacts"]
        if one["task_path"] == "only"
    )
    running = runs.until(lambda: tenants.tasks(A, long), lambda found: found.get("only", {}).get("pod_name"))
    uri = artifact["uri"]
    tenants.words.update(
        a=teams.a, b=teams.b, own=teams.own, experiment=experiment, run=run, long=long, uri=uri,
        path=uri.replace("s3://", "/s3/"), key=uri.removeprefix("s3://team-a/"), root="s3://team-a/root",
        artifact=artifact["name"], pod=tasks["only"]["pod_name"],
    )  # fmt: skip
    tenants.words["long pod"] = running["only"]["pod_name"]
    tenants.before = tenants.files("team-a")


def begin(tenants: Tenants, openly: str, host: str, store: str, image: str) -> None:
    """All that team b tries on the cluster."""
    teams, words = tenants.teams, tenants.words
    experiments = {"b": tenants.experiment(B, teams.b), "open": tenants.experiment(B, openly)}
    words["open"] = openly
    for pod in hostile.labelled(words, kube_specs.IMAGE):
        teams.cluster.create(f"/api/v1/namespaces/{openly}/pods", pod)
    for name, attempt in PIPELINES.items():
        root = attempt.root.format_map(words)
        tenants.runs[name] = tenants.start(B, experiments[attempt.where], attempt.spec(words), root)
    tenants.runs["cache"] = tenants.start(B, experiments["b"], secretive(tenants.secret))
    tenants.runs["root"] = tenants.start(B, experiments["b"], hostile.default_root(words))
    tenants.runs["import"] = tenants.start(B, experiments["open"], hostile.only_importing(words))
    tenants.ids = {name: uuid.uuid4().hex for name in CALLS}
    calls = {name: call.for_program(words, tenants.ids[name]) for name, call in CALLS.items()}
    places = {"http": teams.http, "grpc": teams.grpc, "dispatch": teams.dispatch, "store": store}
    forged = f"system:serviceaccount:{teams.a}:default-editor"
    tenants.runs["calls"] = tenants.start(B, experiments["b"], hostile.program(places, forged, calls, image))
    tenants.runs["no token"] = tenants.start(
        B,
        experiments["b"],
        kube_specs.shell("ls /var/run/secrets > /tmp/kfp/outputs/seen 2>&1; true", outputs=["seen"]),
    )


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_is_refused_and_its_task_says_why(tenants: Tenants, name: str) -> None:
    attempt, run_id = PIPELINES[name], tenants.runs[name]
    says = attempt.says.format_map(tenants.words)

    def said() -> str:
        task = tenants.tasks(B, run_id).get(attempt.task, {})
        return f"{task.get('error', '')} {task.get('waiting', '')}"

    runs.until(said, lambda text: says in text, 60)
    path = f"{V2}/runs/{run_id}:terminate"
    assert tenants.teams.rest(B, "POST", path).status in (200, 400, 412)
    assert tenants.ended(B, run_id)["state"] in ("FAILED", "CANCELED")
    assert tenants.secret not in json.dumps(tenants.tasks(B, run_id))


@pytest.fixture(scope="module")
def answers(tenants: Tenants) -> dict[str, str]:
    """What the program heard, by the name of the attempt."""
    tenants.ended(B, tenants.runs["calls"])
    task = tenants.tasks(B, tenants.runs["calls"])["only"]
    found: dict[str, str] = json.loads(task["outputs"]["seen"])
    return found


@pytest.mark.parametrize("name", CALLS)
def test_a_program_is_refused(tenants: Tenants, answers: dict[str, str], name: str) -> None:
    assert answers[name].startswith(CALLS[name].answer), answers[name]
    assert tenants.secret not in answers[name]
    if CALLS[name].kind == "http" and CALLS[name].answer == "403":
        line = tenants.teams.refused(tenants.ids[name])
        assert line["user"] == f"system:serviceaccount:{tenants.teams.b}:default-editor"
        assert line["reason"]


def test_a_task_has_no_token_that_it_does_not_ask_for(tenants: Tenants) -> None:
    assert tenants.ended(B, tenants.runs["no token"])["state"] == "SUCCEEDED"
    assert "No such file" in tenants.tasks(B, tenants.runs["no token"])["only"]["outputs"]["seen"]


def test_results_of_another_team_answer_no_task(tenants: Tenants) -> None:
    """The same pipeline with the same inputs, and with the key under which the other's result is kept."""
    assert tenants.ended(B, tenants.runs["cache"])["state"] == "SUCCEEDED"
    theirs, ours = tenants.tasks(A, tenants.words["run"]), tenants.tasks(B, tenants.runs["cache"])
    for name in ("only", "keyed"):
        assert ours[name]["outputs"]["text"] == ours[name]["pod_name"] != theirs[name]["outputs"]["text"]


@pytest.mark.parametrize(
    "path", ["{own}/artifacts/{name}:download", "/artifacts/get?source=s3&bucket=team-a&key={key}"]
)
def test_who_names_an_object_in_a_run_of_its_own_does_not_read_it_by_that(tenants: Tenants, path: str) -> None:
    assert tenants.ended(B, tenants.runs["import"])["state"] == "SUCCEEDED"
    (record,) = tenants.teams.rest(B, "GET", f"{OWN}/artifacts?run_id={tenants.runs['import']}").json["artifacts"]
    assert record["uri"] == tenants.words["uri"]
    identifier = uuid.uuid4().hex
    words = {**tenants.words, "own": OWN, "name": record["name"]}
    reply = tenants.teams.rest(B, "GET", path.format_map(words), **{"X-Request-Id": identifier})
    assert reply.status == 403, reply.body
    assert tenants.teams.refused(identifier)["reason"]


@pytest.mark.parametrize(
    "path",
    [
        f"{V2}/runs/{{ours}}/nodes/{{pod}}/log",
        "/k8s/pod?podname={pod}&runid={ours}",
        "/k8s/pod/events?podname={pod}&runid={ours}&podnamespace={a}",
        "/k8s/pod/logs?podname={pod}&runid={ours}&podnamespace={a}",
        "/k8s/pod/logs?podname={long pod}&runid={ours}&podnamespace={a}",
    ],
)
def test_a_pod_of_another_team_is_in_no_run_of_ones_own(tenants: Tenants, path: str) -> None:
    """The caller may see its own run, so there is nothing to refuse, and nothing to be found."""
    tenants.ended(B, tenants.runs["cache"])
    reply = tenants.teams.rest(B, "GET", path.format_map({**tenants.words, "ours": tenants.runs["cache"]}))
    assert reply.status == 404 or b"has no log" in reply.body, (reply.status, reply.body)
    assert tenants.secret.encode() not in reply.body


def test_a_pod_with_the_labels_of_another_teams_task_is_nobodys(tenants: Tenants) -> None:
    """One with its very name has ended with a result, and the image of another is never there."""
    teams = tenants.teams
    path = f"/api/v1/namespaces/{tenants.words['open']}/pods"

    def ends() -> set[str]:
        found = {pod["metadata"]["name"]: json.dumps(pod["status"]) for pod in teams.cluster.items(path)}
        return {
            name
            for name, sign in ((tenants.words["long pod"], '"Succeeded"'), (hostile.UNPULLED, "BackOff"))
            if sign in found.get(name, "")
        }

    runs.until(ends, lambda found: len(found) == 2)
    task = tenants.tasks(A, tenants.words["long"])["only"]
    assert (task["state"], task.get("waiting", "")) == ("RUNNING", ""), json.dumps(task)


def test_in_the_end_nothing_of_team_a_has_changed_or_is_elsewhere(tenants: Tenants) -> None:
    teams, words = tenants.teams, tenants.words
    for name, run_id in tenants.runs.items():
        if name in PIPELINES:
            teams.rest(B, "POST", f"{V2}/runs/{run_id}:terminate")
        tenants.ended(B, run_id)
    assert {name: data for name, data in tenants.files("team-a").items() if words["long"] not in name} == tenants.before
    # The calls that name the secret in their own words are those of the pipeline that both teams run.
    ours = {name: data for name, data in tenants.files("team-b").items() if tenants.runs["cache"] not in name}
    assert [name for name, data in ours.items() if tenants.secret.encode() in data] == []
    core = f"/api/v1/namespaces/{teams.a}"
    kept = teams.cluster.get(f"{core}/secrets/secret-of-a")
    assert kept is not None and base64.b64decode(kept["data"]["k"]).decode() == tenants.secret
    claim = teams.cluster.get(f"{core}/persistentvolumeclaims/claim-of-a")
    ours_too = teams.cluster.get(f"/api/v1/namespaces/{teams.b}/persistentvolumeclaims/penstock-data")
    assert claim is not None and ours_too is not None
    assert "deletionTimestamp" not in {**claim["metadata"], **ours_too["metadata"]}
    assert teams.rest(A, "GET", f"{V2}/runs/{words['run']}").json["state"] == "SUCCEEDED"
    assert teams.rest(A, "POST", f"{V2}/runs/{words['long']}:terminate").status == 200
    tenants.ended(A, words["long"])
    assert tenants.tasks(A, words["long"])["only"]["error"] == "the run was terminated"
