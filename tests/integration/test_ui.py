"""The endpoints of the web UI besides the API: artifacts, Pods, logs, its own files (api.md §4.2)."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """With a web UI of two files, beside one that must not be seen."""
    root = tmp_path_factory.mktemp("ui")
    (root / "secret.txt").write_text("secret")
    ui = root / "build"
    (ui / "static").mkdir(parents=True)
    page = (
        "<html><head><script>window.KFP_FLAGS={};\nwindow.KFP_FLAGS.DEPLOYMENT=null\n"
        "window.KFP_FLAGS.HIDE_SIDENAV=null</script>\n"
        '<script id="kubeflow-client-placeholder"></script></head>ui</html>'
    )
    (ui / "index.html").write_text(page)
    (ui / "static" / "main.js").write_text("console.log(1)")
    (ui / "link").symlink_to(root / "secret.txt")
    environment = {"DEPLOYMENT": "kubeflow"}
    with Embedded(root / "data", "--ui", str(ui), environment=environment, environments=environments) as up:
        yield up


@pytest.fixture(scope="module")
def task(served: Embedded) -> dict[str, Any]:
    """A finished task: its run, its Pod's name, and where its artifacts lie."""
    spec = specs.container(
        ["sh", "-c", "echo said; echo content > {{$.outputs.artifacts['data'].path}}"],
        artifacts={"data": "system.Dataset"},
    )
    with Client(served.grpc) as client:
        run_id = runs.start(client, spec)
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        found = runs.tasks(client, run_id)["only"]
        artifact = next(iter(client.list_artifacts(run_id=run_id)))
    return {"run_id": run_id, "pod": found.pod_name, "uri": artifact.uri}


def artifact_query(path: Path) -> str:
    bucket, _, key = str(path).lstrip("/").partition("/")
    return f"source=file&bucket={quote(bucket)}&key={quote(key)}"


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            return reply.status, dict(reply.headers), reply.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def artifact(task: dict[str, Any]) -> Path:
    return Path(task["uri"].removeprefix("file://"))


@pytest.mark.parametrize("prefix", ["", "/pipeline"])
def test_an_artifact_is_previewed(served: Embedded, task: dict[str, Any], prefix: str) -> None:
    url = f"{served.http}{prefix}/artifacts/get?{artifact_query(artifact(task))}"
    status, headers, body = fetch(url)
    assert (status, body) == (200, b"content\n")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert fetch(f"{url}&peek=3")[2] == b"con"
    assert fetch(f"{url}&peek=-1")[0] == 400


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-2", 206, b"con", "bytes 0-2/8"),
        ("bytes=5-", 206, b"nt\n", "bytes 5-7/8"),
        ("bytes=-2", 206, b"t\n", "bytes 6-7/8"),
        ("bytes=2-100", 206, b"ntent\n", "bytes 2-7/8"),
        ("bytes=8-", 416, None, "bytes */8"),
        ("bytes=3-1", 416, None, "bytes */8"),
        ("bytes=0-1,3-4", 200, b"content\n", None),
        ("bytes=-", 200, b"content\n", None),
        ("lines=1-2", 200, b"content\n", None),
    ],
)
def test_ranges(
    served: Embedded, task: dict[str, Any], asked: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    path = str(artifact(task)).lstrip("/")
    for url in (
        f"{served.http}/artifacts/file/{quote(path)}",
        f"{served.http}/artifacts/get?{artifact_query(artifact(task))}",
    ):
        found = fetch(url, Range=asked)
        assert (found[0], found[1].get("Content-Range")) == (status, content_range)
        assert body is None or found[2] == body


def test_packed_artifacts_show_their_first_file(served: Embedded, task: dict[str, Any]) -> None:
    directory = artifact(task).parent
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (("a/first.txt", b"first"), ("second.txt", b"second")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    cases = {
        "plain.gz": (gzip.compress(b"zipped" * 100_000), b"zipped" * 100_000),
        "two.tar": (buffer.getvalue(), b"first"),
        "two.tar.gz": (gzip.compress(buffer.getvalue()), b"first"),
        "not.gz": (b"plain text", b"plain text"),
        "empty": (b"", b""),
    }
    for name, (content, shown) in cases.items():
        (directory / name).write_bytes(content)
        query = artifact_query(directory / name)
        assert fetch(f"{served.http}/artifacts/get?{query}")[2] == shown, name
        assert fetch(f"{served.http}/artifacts/get?{query}&peek=2")[2] == shown[:2], name
        raw = fetch(f"{served.http}/artifacts/file{quote(str(directory / name))}")
        assert raw[2] == content
        assert f'filename="{name}"' in raw[1]["Content-Disposition"]


def test_broken_archives_end_the_connection_or_are_an_error(served: Embedded, task: dict[str, Any]) -> None:
    path = artifact(task).parent / "broken.gz"
    path.write_bytes(b"\x1f\x8b" + b"nonsense" * 100)
    status, _, body = fetch(f"{served.http}/artifacts/get?{artifact_query(path)}")
    assert status == 400
    assert b"gzip" in body


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("source=file&bucket=etc&key=passwd", 403, "outside"),
        ("source=file&bucket=..&key=../etc/passwd", 403, "outside"),
        ("source=file&bucket=etc&key=passwd%00", 400, ""),
        ("source=s3&bucket=b&key=k", 403, "s3://"),
        ("source=http&bucket=169.254.169.254&key=latest/meta-data", 400, "http://"),
        ("source=ftp&bucket=b&key=k", 400, "source"),
        ("source=file&bucket=b", 400, "key"),
        ("bucket=b&key=k", 400, "source"),
    ],
)
def test_what_must_not_be_read(served: Embedded, query: str, status: int, named: str) -> None:
    found = fetch(f"{served.http}/artifacts/get?{query}")
    assert found[0] == status, found
    assert named in found[2].decode()


def test_pods_events_and_logs(served: Embedded, task: dict[str, Any]) -> None:
    query = f"podname={task['pod']}&podnamespace=kubeflow"
    pod = http.call("GET", f"{served.http}/k8s/pod?{query}").json
    assert pod["metadata"]["labels"] == {"pipeline/runid": task["run_id"]}
    assert pod["status"]["phase"] == "Succeeded"
    assert "record" in pod["metadata"]["annotations"]["penstock/source"]
    events = http.call("GET", f"{served.http}/pipeline/k8s/pod/events?{query}").json["items"]
    assert [one["reason"] for one in events][-1] == "Succeeded"
    for wanted in (f"{query}&runid={task['run_id']}", query):
        assert b"said\n" in http.call("GET", f"{served.http}/k8s/pod/logs?{wanted}").body
    for version in ("v1alpha1", "v1beta1", "v2beta1"):
        url = f"{served.http}/pipeline/apis/{version}/runs/{task['run_id']}/nodes/{task['pod']}/log"
        assert b"said\n" in http.call("GET", url).body
    for path in ("/k8s/pod", "/k8s/pod/events", "/k8s/pod/logs"):
        assert http.call("GET", served.http + path).status == 400
        assert http.call("GET", f"{served.http}{path}?podname=nobody").status == 404


def test_small_answers(served: Embedded) -> None:
    assert http.call("GET", f"{served.http}/visualizations/allowed").body == b"false"
    for name in ("cluster-name", "project-id"):
        assert http.call("GET", f"{served.http}/system/{name}").status == 404
    health = http.call("GET", f"{served.http}/pipeline/apis/v2beta1/healthz").json
    assert (health["multi_user"], health["apiServerReady"], health["pipelineStore"]) == (False, True, "database")


@pytest.mark.parametrize("path", ["/", "/index.html", "/pipeline", "/pipeline/", "/pipeline/index.html"])
def test_the_page_has_its_flags(served: Embedded, path: str) -> None:
    status, headers, body = fetch(served.http + path)
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert b'window.KFP_FLAGS.DEPLOYMENT="KUBEFLOW";' in body
    # The central dashboard has a navigation of its own, and tells the page its namespace.
    assert b"window.KFP_FLAGS.HIDE_SIDENAV=true;" in body
    assert b'<script id="kubeflow-client-placeholder" src="/dashboard_lib.bundle.js"></script>' in body
    assert body.count(b"KFP_FLAGS.DEPLOYMENT") == body.count(b"kubeflow-client-placeholder") == 1


@pytest.mark.parametrize(
    ("environment", "flags"),
    [
        ({"DEPLOYMENT": "MARKETPLACE"}, [b'DEPLOYMENT="MARKETPLACE"', b"HIDE_SIDENAV=false"]),
        ({"DEPLOYMENT": "production"}, [b"DEPLOYMENT=null", b"HIDE_SIDENAV=false"]),
        ({"DEPLOYMENT": "KUBEFLOW", "HIDE_SIDENAV": "false"}, [b'DEPLOYMENT="KUBEFLOW"', b"HIDE_SIDENAV=false"]),
    ],
)
def test_other_deployments(tmp_path: Path, environment: dict[str, str], flags: list[bytes]) -> None:
    (tmp_path / "index.html").write_text('<head><script id="kubeflow-client-placeholder"></script></head>')
    with Embedded(tmp_path / "data", "--ui", str(tmp_path), environment=environment) as embedded:
        body = fetch(embedded.http + "/")[2]
    assert all(b"window.KFP_FLAGS." + flag in body for flag in flags), body
    assert (b"dashboard_lib" in body) == (environment["DEPLOYMENT"] == "KUBEFLOW")


def test_files_of_the_ui_and_no_others(served: Embedded) -> None:
    assert fetch(f"{served.http}/static/main.js")[2] == b"console.log(1)"
    assert fetch(f"{served.http}/pipeline/static/main.js")[0] == 200
    for path in ("/link", "/../secret.txt", "/%2e%2e/secret.txt", "/static/..%2f..%2fsecret.txt", "/static", "/none"):
        status, _, body = fetch(served.http + path)
        assert (status, b"secret" in body) == (404, False), path
    assert json.loads(fetch(f"{served.http}/apis/v2beta1/none")[2])["code"] == 5


def test_metrics_sort_runs(served: Embedded) -> None:
    """`metric:<name>` (api.md §2.3): runs without the metric stand below all others."""
    with Client(served.grpc) as client:
        ids = []
        for value in ("0.5", "0.9", "-3"):
            script = (
                "mkdir -p $(dirname {{$.outputs.output_file}}); echo "
                + "'"
                + json.dumps(
                    {"artifacts": {"scores": {"artifacts": [{"metadata": {"F1": float(value), "name": "x"}}]}}}
                )
                + "' > {{$.outputs.output_file}}"
            )
            spec = specs.container(["sh", "-c", script], artifacts={"scores": "system.Metrics"})
            ids.append(runs.start(client, spec, name="scored"))
        plain = runs.start(client, specs.container(["true"]), name="scored")
        for run_id in (*ids, plain):
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    low, high, lowest = ids[0], ids[1], ids[2]
    where = quote(json.dumps({"predicates": [{"operation": "EQUALS", "key": "name", "string_value": "scored"}]}))

    def listed(query: str) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            url = f"{served.http}/apis/v2beta1/runs?filter={where}&page_size=2&{query}&page_token={quote(token)}"
            reply = http.call("GET", url).json
            found += [one["run_id"] for one in reply["runs"]]
            token = reply.get("next_page_token", "")
            if not token:
                return found

    assert listed("sort_by=metric:F1%20desc") == [high, low, lowest, plain]
    assert listed("sort_by=metric:F1") == [plain, lowest, low, high]
    assert http.call("GET", f"{served.http}/apis/v2beta1/runs?sort_by=metric:").status == 400
