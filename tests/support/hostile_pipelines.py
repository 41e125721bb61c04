"""What the author of a pipeline in one team's namespace tries on what is another team's: each attempt by its name.

Invariants: data, without a cluster. `PIPELINES` are runs whose tasks are refused, with words of the refusal; `CALLS` is
what the program of a task tries from its Pod, with how the answer begins. Words in braces are filled in by whoever
tries: the namespaces `a`, `b` and `open`, ids and places of team a.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_metadata.proto import metadata_store_service_pb2 as metadata_pb
from penstock_api.internal.v1 import dispatch_pb2

from tools.testing import kube_specs, specs

Words = Mapping[str, str]
Spec = dict[str, Any]
_DATASET = {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}


@dataclass(frozen=True)
class Hostile:
    """`spec` makes the pipeline; `says` is in the error of its task `task`, or in what it waits for. `where` is the
    namespace: `b`, which lists what tasks may use, or `open`, which lists nothing. `root` is the run's pipeline root.
    """

    spec: Callable[[Words], Spec]
    says: str
    where: str = "b"
    root: str = ""
    task: str = "only"


def settings(kubernetes: Mapping[str, Any], script: str = "true") -> Callable[[Words], Spec]:
    """A task with these settings of kfp-kubernetes."""
    return lambda words: kube_specs.shell(script, kubernetes=filled(kubernetes, words))


def filled(value: Any, words: Words) -> Any:
    if isinstance(value, dict):
        return {filled(key, words): filled(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, words) for one in value]
    return value.format_map(words) if isinstance(value, str) else value


def secret_env(name: str) -> Spec:
    return {"secretAsEnv": [{"secretName": name, "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]}


def config_env(name: str) -> Spec:
    return {"configMapAsEnv": [{"configMapName": name, "keyToEnv": [{"configMapKey": "k", "envVar": "V"}]}]}


def volume(kind: str, name_field: str, name: str) -> Spec:
    return {kind: [{name_field: name, "mountPath": "/d"}]}


def claim(name: str) -> Spec:
    return {"pvcMount": [{"constant": name, "mountPath": "/d"}]}


def deleting(name: str) -> Callable[[Words], Spec]:
    return _claim_task("argostub/deletepvc", {"pvc_name": name})


def copying(source: Mapping[str, str]) -> Callable[[Words], Spec]:
    given = {"pvc_name_suffix": "copy", "access_modes": ["ReadWriteOnce"], "size": "1Mi", "data_source": source}
    return _claim_task("argostub/createpvc", given)


def _claim_task(image: str, given: Mapping[str, Any]) -> Callable[[Words], Spec]:
    def spec(words: Words) -> Spec:
        package = kube_specs.shell("true", image=image)
        kinds: dict[type, str] = {str: "STRING", list: "LIST", dict: "STRUCT"}
        component = package["pipeline_spec"]["components"]["comp-only"]
        declared = {name: {"parameterType": kinds[type(value)]} for name, value in given.items()}
        component["inputDefinitions"] = {"parameters": declared}
        constants = {name: {"runtimeValue": {"constant": filled(value, words)}} for name, value in given.items()}
        package["pipeline_spec"]["root"]["dag"]["tasks"]["only"]["inputs"] = {"parameters": constants}
        return package

    return spec


def importing(uri: str = "{uri}", **importer: Any) -> Callable[[Words], Spec]:
    """Its task `only` reads what it imports, and would tell it."""

    def spec(words: Words) -> Spec:
        script = 'cat "$0" > /tmp/kfp/outputs/text'
        made = specs.imported(uri.format_map(words), ["sh", "-c", script, "{{$.inputs.artifacts['given'].path}}"])
        made["components"]["comp-only"]["outputDefinitions"] = {"parameters": {"text": {"parameterType": "STRING"}}}
        made["deploymentSpec"]["executors"]["import"]["importer"].update(importer)
        return _of_containers(made)

    return spec


def only_importing(words: Words) -> Spec:
    """An importer alone: nobody looks at what it names."""
    spec = specs.imported(words["uri"], ["true"])
    del spec["root"]["dag"]["tasks"]["only"], spec["components"]["comp-only"]
    spec["deploymentSpec"]["executors"] = {"import": spec["deploymentSpec"]["executors"]["import"]}
    return spec


def named_by_a_task(text: str) -> Spec:
    """A chain whose task `name` gives the text, and whose task `only` does nothing yet."""
    script = "printf '%s' \"$0\" > /tmp/kfp/outputs/text"
    made = specs.chain({"name": ["sh", "-c", script, text], "only": ["true"]}, name="dynamic")
    made["components"]["comp-name"]["outputDefinitions"] = {"parameters": {"text": {"parameterType": "STRING"}}}
    return made


def secret_named_by_a_task(words: Words) -> Spec:
    package = kube_specs.on_cluster(named_by_a_task("penstock-store"))
    source = {"taskOutputParameter": {"producerTask": "name", "outputParameterKey": "text"}}
    pairs = [{"secretKey": "secret", "envVar": "V"}]
    executors = package["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-only"] = {"secretAsEnv": [{"secretNameParameter": source, "keyToEnv": pairs}]}
    return package


def import_named_by_a_task(words: Words) -> Spec:
    package = importing()(words)
    spec, named = package["pipeline_spec"], named_by_a_task(words["uri"])
    spec["components"]["comp-name"] = named["components"]["comp-name"]
    spec["deploymentSpec"]["executors"]["exec-name"] = {
        "container": {**named["deploymentSpec"]["executors"]["exec-name"]["container"], "image": kube_specs.IMAGE}
    }
    tasks = spec["root"]["dag"]["tasks"]
    tasks["name"] = named["root"]["dag"]["tasks"]["name"]
    source = {"taskOutputParameter": {"producerTask": "name", "outputParameterKey": "text"}}
    tasks["import"].update(inputs={"parameters": {"uri": source}}, dependentTasks=["name"])
    spec["deploymentSpec"]["executors"]["import"]["importer"]["artifactUri"] = {"runtimeParameter": "uri"}
    return package


def exit_handler(words: Words) -> Spec:
    package = kube_specs.chain({"first": ["false"], "only": ["true"]})
    executors = package["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-only"] = secret_env("secret-of-a")
    package["pipeline_spec"]["root"]["dag"]["tasks"]["only"]["triggerPolicy"] = {
        "strategy": "ALL_UPSTREAM_TASKS_COMPLETED"
    }
    return package


def retried_import(words: Words) -> Spec:
    package = importing()(words)
    tasks = package["pipeline_spec"]["root"]["dag"]["tasks"]
    tasks["only"]["retryPolicy"] = {"maxRetryCount": 2, "backoffDuration": "0s"}
    return package


def default_root(words: Words) -> Spec:
    package = kube_specs.shell("true")
    package["pipeline_spec"]["defaultPipelineRoot"] = f"{words['root']}/x"
    return package


def writing(script: str, *arguments: str) -> Callable[[Words], Spec]:
    """A task with an output artifact, whose place is `$0`; the rest are `$1` and so on."""

    def spec(words: Words) -> Spec:
        place = "{{$.outputs.artifacts['data'].path}}"
        filled_in = [argument.format_map(words) for argument in arguments]
        return kube_specs.container(["sh", "-c", script, place, *filled_in], artifacts={"data": "system.Dataset"})

    return spec


# `$1` is where the object of team a would lie in the Pod, `$2` its URI.
NAME = """
printf '{"artifacts": {"data": {"artifacts": [{"uri": "%s"}]}}}' "$2" > "$(dirname "$0")/output_metadata.json"
"""
OVERWRITE = f'mkdir -p "$(dirname "$1")"; echo forged > "$1"; {NAME}'
LINK = 'ln -s /proc/1/environ "$0"'


def forged_message(words: Words) -> Spec:
    message = json.dumps({"stored": words["uri"], "bytes": 100})
    script = f"printf '%s' '{message}' > /dev/termination-log; kill -9 $PPID; sleep 60"
    return kube_specs.shell(script, outputs=["text"])


def _of_containers(spec: Spec) -> Spec:
    """As `kube_specs.on_cluster`, for a pipeline with importers."""
    executors = spec["deploymentSpec"]["executors"]
    importers = {name: executors.pop(name) for name in list(executors) if "importer" in executors[name]}
    package = kube_specs.on_cluster(spec)
    executors.update(importers)
    return package


OWN = "is the installation's own, which no task may use"


def unlisted(key: str) -> str:
    return f"the list {key!r} of its ConfigMap 'penstock' does not name it"


PIPELINES: dict[str, Hostile] = {
    # Names: Kubernetes looks for them in the Pod's own namespace, so the most they can find is one's own.
    "a Secret in a variable": Hostile(settings(secret_env("secret-of-a")), '"secret-of-a" not found', "open"),
    "a Secret as a volume": Hostile(
        settings(volume("secretAsVolume", "secretName", "secret-of-a")), '"secret-of-a" not found', "open"
    ),
    "a ConfigMap in a variable": Hostile(settings(config_env("map-of-a")), '"map-of-a" not found', "open"),
    "a ConfigMap as a volume": Hostile(
        settings(volume("configMapAsVolume", "configMapName", "map-of-a")), '"map-of-a" not found', "open"
    ),
    "a claim": Hostile(settings(claim("claim-of-a")), "the claim 'claim-of-a' does not exist", "open"),
    "a Secret with its namespace": Hostile(settings(secret_env("{a}/secret-of-a")), "Kubernetes refuses", "open"),
    "a claim with its namespace": Hostile(
        settings(claim("../{a}/claim-of-a")), "the claim '../{a}/claim-of-a' does not exist", "open"
    ),
    "a Secret under a list": Hostile(settings(secret_env("secret-of-a")), unlisted("secrets")),
    "a ConfigMap under a list": Hostile(settings(config_env("map-of-a")), unlisted("configMaps")),
    "a claim under a list": Hostile(settings(claim("claim-of-a")), unlisted("claims")),
    "a Secret of an exit handler": Hostile(exit_handler, unlisted("secrets")),
    "the store's own Secret": Hostile(settings(secret_env("penstock-store")), OWN, "open"),
    "the store's own Secret, named by a task": Hostile(secret_named_by_a_task, OWN),
    "deleting a claim": Hostile(deleting("claim-of-a"), "there is no claim 'claim-of-a' in namespace"),
    "deleting a claim by a path": Hostile(
        deleting("../../{a}/persistentvolumeclaims/claim-of-a"), "it holds what no name of an object has"
    ),
    "deleting a claim by a query": Hostile(deleting("penstock-data?x=y"), "it holds what no name of an object has"),
    "copying a claim": Hostile(
        copying({"kind": "PersistentVolumeClaim", "name": "claim-of-a", "namespace": "{a}"}),
        "unknown field 'namespace'",
        "open",
    ),
    # Looking like somebody else's Pod.
    "the label of another run": Hostile(settings({"podMetadata": {"labels": {"pipeline/runid": "{run}"}}}), OWN),
    "the label of an installation": Hostile(
        settings({"podMetadata": {"labels": {"penstock.dev/instance": "other"}}}), OWN, "open"
    ),
    "the place of another log": Hostile(
        settings({"podMetadata": {"annotations": {"penstock.dev/log": "{uri}"}}}), OWN, "open"
    ),
    # Places.
    "a root in another team's": Hostile(settings({}), unlisted("pipelineRoots"), root="{root}/x"),
    "a root with settings": Hostile(
        settings({}), unlisted("pipelineRoots"), root="s3://team-b/x?endpoint=http://192.0.2.1"
    ),
    "a root that climbs": Hostile(settings({}), unlisted("pipelineRoots"), root="s3://team-b/../team-a/root"),
    "a root where only credentials count": Hostile(writing('echo x > "$0"'), "cannot be stored", "open", "{root}/x"),
    # Other teams' objects as inputs.
    "an import": Hostile(importing(), unlisted("importUris")),
    "an import with metadata": Hostile(importing(metadata={"k": "v"}), unlisted("importUris")),
    "an import anew": Hostile(importing(reimport=True), unlisted("importUris")),
    "an import of a directory": Hostile(importing("{root}"), unlisted("importUris")),
    "an import that climbs": Hostile(importing("s3://team-b/root/../../team-a/x"), unlisted("importUris")),
    "an import named by a task": Hostile(import_named_by_a_task, unlisted("importUris")),
    "an import with retries": Hostile(retried_import, unlisted("importUris")),
    "an import where only credentials count": Hostile(importing(), "the input", "open"),
    # Other teams' objects as outputs.
    "an output over another's": Hostile(writing(OVERWRITE, "{path}", "{uri}"), "may not be stored at {uri}"),
    "an output that is another's": Hostile(writing(NAME, "{path}", "{uri}"), "may not be stored at {uri}"),
    "an output over another's where only credentials count": Hostile(
        writing(OVERWRITE, "{path}", "{uri}"), "cannot be stored", "open"
    ),
    "an output that is a link": Hostile(writing(LINK), "which is none of the task's directories"),
    "a result that is another's object": Hostile(forged_message, "as its result, which is not its place"),
}


@dataclass(frozen=True)
class Call:
    """`document` is a message for `rpc`. `shown` is how the caller proves itself, `answer` how the answer begins."""

    kind: str
    verb: str
    path: str
    answer: str
    shown: str = ""
    document: Any = None

    def for_program(self, words: Words, request_id: str) -> dict[str, Any]:
        data = self.document
        sent = data.SerializeToString().hex() if hasattr(data, "SerializeToString") else json.dumps(filled(data, words))
        place = self.path.format_map(words)
        return {
            "kind": self.kind, "verb": self.verb, "path": place, "shown": self.shown, "sent": sent, "id": request_id
        }  # fmt: skip


def _dispatch(method: str, message: Any, shown: str = "") -> Call:
    return Call("dispatch", "", f"/penstock.internal.v1.DispatchService/{method}", "UNAUTHENTICATED", shown, message)


def _lineage(port: str, method: str, message: Any, answer: str, shown: str = "") -> Call:
    return Call(port, "", f"/ml_metadata.MetadataStoreService/{method}", answer, shown, message)


def _refused(verb: str, path: str, document: Any = None) -> Call:
    """With the Pod's own token, which says who it is."""
    return Call("http", verb, path, "403", "who", document)


def _cluster(verb: str, path: str, document: Any = None) -> Call:
    return Call("kubernetes", verb, f"/api/v1/namespaces/{{a}}/{path}", "403", "pod", document)


_RUN, _OWN = "/apis/v2beta1/runs", "/apis/penstock/v1"
_CLAIM = dispatch_pb2.ClaimRunsRequest(executor_id="x/1", max_runs=9, lease_millis=60_000)
_HEADER = "header"
CALLS: dict[str, Call] = {
    "claim runs": _dispatch("ClaimRuns", _CLAIM),
    "claim runs with its token": _dispatch("ClaimRuns", _CLAIM, "who"),
    "claim runs with the token of its Pod": _dispatch("ClaimRuns", _CLAIM, "pod"),
    "claim runs in a header's name": _dispatch("ClaimRuns", _CLAIM, _HEADER),
    "report an end": _dispatch("ReportTransitions", dispatch_pb2.ReportTransitionsRequest(executor_id="x/1"), "who"),
    "keep a run": _dispatch("Heartbeat", dispatch_pb2.HeartbeatRequest(executor_id="x/1"), "pod"),
    "ask for cached results": _dispatch("LookupCache", dispatch_pb2.LookupCacheRequest(), "pod"),
    "ask about runs": _dispatch("FilterRuns", dispatch_pb2.FilterRunsRequest(), "who"),
    "lineage on the port of executors": _lineage(
        "dispatch", "GetContexts", metadata_pb.GetContextsRequest(), "UNAUTHENTICATED", "who"
    ),
    "lineage as nobody": _lineage("grpc", "GetContexts", metadata_pb.GetContextsRequest(), "UNAUTHENTICATED"),
    "write lineage": _lineage("grpc", "PutContexts", metadata_pb.PutContextsRequest(), "PERMISSION_DENIED", "who"),
    "claim runs on the public port": Call(
        "grpc", "", "/penstock.internal.v1.DispatchService/ClaimRuns", "UNAVAILABLE", "who", _CLAIM
    ),
    "a run as nobody": Call("http", "GET", f"{_RUN}/{{run}}", "401"),
    "a run in a header's name": Call("http", "GET", f"{_RUN}/{{run}}", "401", _HEADER),
    "a run with the token of its Pod": Call("http", "GET", f"{_RUN}/{{run}}", "401", "pod"),
    "see a run": _refused("GET", f"{_RUN}/{{run}}"),
    "end a run": _refused("POST", f"{_RUN}/{{long}}:terminate"),
    "read a log": _refused("GET", f"{_RUN}/{{run}}/nodes/only/log"),
    "read a log by its Pod": _refused("GET", "/k8s/pod/logs?podname={pod}&podnamespace={a}"),
    "see a Pod": _refused("GET", "/k8s/pod?podname={pod}&podnamespace={a}&runid={run}"),
    "see an artifact": _refused("GET", f"{_OWN}/artifacts/{{artifact}}"),
    "download an artifact": _refused("GET", f"{_OWN}/artifacts/{{artifact}}:download"),
    "read an object": _refused("GET", "/artifacts/get?source=s3&bucket=team-a&key={key}"),
    "read an object in one's own name": _refused(
        "GET", "/artifacts/get?source=s3&bucket=team-a&key={key}&namespace={b}"
    ),
    "download an object": _refused("GET", "/artifacts/s3/team-a/{key}"),
    "run in an experiment": _refused("POST", _RUN, {"display_name": "x", "experiment_id": "{experiment}"}),
    "list Secrets": _cluster("GET", "secrets"),
    "read a Secret": _cluster("GET", "secrets/secret-of-a"),
    "list Pods": _cluster("GET", "pods"),
    "read a running Pod's log": _cluster("GET", "pods/{pod}/log"),
    "make a Pod": _cluster("POST", "pods", {"metadata": {"name": "x"}}),
    "make a token": _cluster("POST", "serviceaccounts/default-editor/token", {"spec": {}}),
    "change what tasks may use": _cluster("POST", "configmaps", {"metadata": {"name": "penstock-x"}}),
    "the store as nobody": Call("store", "GET", "/team-a/{key}", "403"),
    "the store's list as nobody": Call("store", "GET", "/team-a?list-type=2", "403"),
    "overwrite in the store": Call("store", "PUT", "/team-a/{key}", "403", "", "forged"),
}

PROGRAM = """
import json, os, ssl, sys, urllib.error, urllib.request
from pathlib import Path
import grpc
PLACES, FORGED = json.loads(sys.argv[1]), sys.argv[2]
KUBERNETES = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
TOKENS = {"who": "/var/run/who/token", "pod": "/var/run/secrets/kubernetes.io/serviceaccount/token"}
def headers(call):
    if call["shown"] == "header":
        return {"kubeflow-userid": FORGED}
    return {"authorization": "Bearer " + Path(TOKENS[call["shown"]]).read_text()} if call["shown"] else {}
def rpc(call):
    with grpc.insecure_channel(PLACES[call["kind"]]) as channel:
        method = channel.unary_unary(call["path"])
        try:
            return "OK " + repr(method(bytes.fromhex(call["sent"]), metadata=tuple(headers(call).items()), timeout=20))
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
def http(call):
    server = KUBERNETES if call["kind"] == "kubernetes" else PLACES[call["kind"]]
    data = call["sent"].encode() if call["verb"] != "GET" else None
    given = {**headers(call), "content-type": "application/json", "x-request-id": call["id"]}
    request = urllib.request.Request(server + call["path"], data=data, method=call["verb"], headers=given)
    context = ssl._create_unverified_context() if server is KUBERNETES else None
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as reply:
            return f"{reply.status} {reply.read(500)}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(500)}"
def tried(call):
    try:
        return (rpc if call["kind"] in ("dispatch", "grpc") else http)(call)
    except Exception as error:
        return f"{type(error).__name__} {error}"
answers = {name: tried(call) for name, call in json.loads(sys.argv[3]).items()}
Path("/tmp/kfp/outputs/seen").write_text(json.dumps(answers))
"""


def program(places: Words, forged: str, calls: Mapping[str, Mapping[str, Any]], image: str) -> Spec:
    """Tries the calls, one after another, with a token of its account; its output `seen` has what came back."""
    command = ["python", "-c", PROGRAM, json.dumps(places), forged, json.dumps(calls)]
    token = {"podMetadata": {"annotations": {"penstock.dev/service-account-token": "true"}}}
    return kube_specs.container(command, image=image, outputs=["seen"], kubernetes=token)


UNPULLED = "unpulled"


def labelled(words: Words, image: str) -> Sequence[Spec]:
    """Pods with the labels of a task of team a that runs: one that has ended, with a result, and one of no image."""
    labels = {"penstock.dev/instance": words["own"], "pipeline/runid": words["long"]}
    annotations = {"penstock.dev/path": "only", "penstock.dev/attempt": "1", "penstock.dev/log": words["uri"]}
    result = json.dumps({"exit": {"code": 0}, "parameters": {"text": "forged"}})
    script = f"printf '%s' '{result}' > /dev/termination-log"
    hardened = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    security = {**hardened, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return [
        {
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "main", "image": image, "imagePullPolicy": policy, "securityContext": security,
                        "command": ["sh", "-c", script],
                    }
                ],
            },
        }
        for name, image, policy in ((words["long pod"], image, "IfNotPresent"), (UNPULLED, "no.such/image:1", "Always"))
    ]  # fmt: skip
