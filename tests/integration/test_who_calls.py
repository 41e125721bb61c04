"""Real servers that ask who calls: two of them on one database, over REST, over gRPC, and from a browser."""

from __future__ import annotations

import http.cookiejar
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import experiment_pb2 as pb

from tests.support.http import Reply, call
from tests.support.replicas import Replicas
from tools.testing.oidc_issuer import CLIENT, SECRET, OidcIssuer, SigningKey, oidc_issuer

EXPERIMENTS = "/apis/v2beta1/experiments"
ROLES = """
roles:
  - role: editor
    namespaces: ["*"]
    users: [alice@example.com, ci]
  - role: viewer
    namespaces: ["*"]
    groups: [readers]
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def servers(issuer: OidcIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("servers")
    (directory / "roles.yaml").write_text(ROLES)
    (directory / "secret").write_text(SECRET + "\n")
    ui = directory / "ui"
    ui.mkdir()
    (ui / "index.html").write_text("<html><head></head><body>the web UI</body></html>")
    environment = {
        "PENSTOCK_AUTH": "kubeflow oidc tokens",
        "PENSTOCK_ROLE_FILE": str(directory / "roles.yaml"),
        # None of the test's own addresses: whoever names a user in a header here is nobody to be believed.
        "PENSTOCK_TRUSTED_PROXIES": "192.0.2.0/24,proxy.example.com",
        "KUBECONFIG": "",
        "PENSTOCK_OIDC_ISSUER": issuer.url,
        "PENSTOCK_OIDC_CLIENT_ID": CLIENT,
        "PENSTOCK_OIDC_CLIENT_SECRET_FILE": str(directory / "secret"),
        "PENSTOCK_UI": str(ui),
    }
    with Replicas(
        directory, f"sqlite:///{directory}/penstock.db", servers=2, executors=0, environment=environment
    ) as running:
        yield running


@pytest.fixture(scope="module")
def token(servers: Replicas) -> str:
    """An API token of `ci`, an editor, that allows to view."""
    database = f"sqlite:///{servers.directory}/penstock.db"
    command = [sys.executable, "-m", "penstock_server.main", "tokens", "--database", database]
    words = [*command, "create", "of the test", "--user", "ci"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def rest(servers: Replicas, verb: str = "GET", document: Any = None, **headers: str) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(verb, servers.http[0] + EXPERIMENTS, document, headers=sent)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_nobody_is_told_nothing(servers: Replicas) -> None:
    reply = rest(servers)
    assert reply.status == 401 and reply.json["code"] == 16
    with Client(servers.addresses[0]) as client, pytest.raises(ClientError) as refused:
        list(client.list_experiments())
    assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(urllib.error.HTTPError) as answered:
        urllib.request.urlopen(servers.http[0] + EXPERIMENTS, timeout=30)
    assert answered.value.headers["WWW-Authenticate"].startswith("Bearer")
    answered.value.close()


def test_who_watches_needs_no_credentials(servers: Replicas) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/apis/v2beta1/healthz"):
        assert call("GET", servers.http[0] + path).status == 200


def test_tokens_of_the_issuer(servers: Replicas, issuer: OidcIssuer) -> None:
    assert rest(servers, **bearer(issuer.token())).status == 200
    assert rest(servers, "POST", {"display_name": "by alice"}, **bearer(issuer.token())).status == 200
    with Client(servers.addresses[1], token=issuer.token()) as client:
        assert "by alice" in {experiment.display_name for experiment in client.list_experiments()}
    reader = {"email": "bob@example.com", "groups": ["readers"]}
    assert rest(servers, **bearer(issuer.token(reader))).status == 200
    assert rest(servers, "POST", {"display_name": "by bob"}, **bearer(issuer.token(reader))).status == 403
    stranger = {"email": "eve@example.com", "groups": []}
    assert rest(servers, **bearer(issuer.token(stranger))).status == 403
    for wrong in (
        issuer.token({"aud": "another"}),
        issuer.token({"exp": 1}),
        issuer.token(key=SigningKey("x", number=1)),
    ):
        assert rest(servers, **bearer(wrong)).status == 401


def test_api_tokens_are_their_users_within_bounds(servers: Replicas, token: str) -> None:
    assert rest(servers, **bearer(token)).status == 200
    assert rest(servers, "POST", {"display_name": "by ci"}, **bearer(token)).status == 403
    assert rest(servers, **bearer(token[:-1] + ("a" if token[-1] != "a" else "b"))).status == 401
    with Client(servers.addresses[1], token=token) as client:
        assert client.call(client.experiments.ListExperiments, pb.ListExperimentsRequest())


@pytest.mark.parametrize("header", ["kubeflow-userid", "Kubeflow-UserId", "KUBEFLOW-GROUPS"])
def test_a_header_of_anybody_is_a_forgery(servers: Replicas, issuer: OidcIssuer, token: str, header: str) -> None:
    for shown in ({}, bearer(issuer.token()), bearer(token)):
        reply = call("GET", servers.http[0] + EXPERIMENTS, headers={**shown, header: "alice@example.com"})
        assert reply.status == 401 and "trusted proxy" in reply.json["message"]
    with grpc.insecure_channel(servers.addresses[0]) as channel:
        method = channel.unary_unary(
            "/kubeflow.pipelines.backend.api.v2beta1.ExperimentService/ListExperiments",
            request_serializer=pb.ListExperimentsRequest.SerializeToString,
            response_deserializer=pb.ListExperimentsResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as refused:
            method(pb.ListExperimentsRequest(), metadata=((header.lower(), "alice@example.com"),), timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


class Browser:
    """Follows redirects and keeps cookies."""

    def __init__(self) -> None:
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def open(self, url: str, verb: str = "GET", document: Any = None, **headers: str) -> Reply:
        data = None if document is None else json.dumps(document).encode()
        sent = {"Accept": "text/html,*/*", **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = urllib.request.Request(url, data=data, method=verb, headers=sent)
        try:
            with self._opener.open(request, timeout=30) as reply:
                return Reply(reply.status, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())


def test_a_browser_is_led_through_the_log_in(servers: Replicas) -> None:
    browser = Browser()
    first, second = servers.http
    page = browser.open(first + "/")
    assert page.status == 200 and b"the web UI" in page.body
    assert [cookie.name for cookie in browser.jar] == ["penstock_session"]
    # Cookies know no ports: the other server knows the session from the database.
    assert browser.open(second + EXPERIMENTS).status == 200
    who = browser.open(second + "/apis/penstock/v1/whoami").json
    assert (who["user"], who["source"]) == ("alice@example.com", "session")

    change = {"display_name": "from the browser"}
    json_type = {"Content-Type": "application/json"}
    assert browser.open(first + EXPERIMENTS, "POST", change, **json_type).status == 401
    assert browser.open(first + EXPERIMENTS, "POST", change, Origin="https://evil.example", **json_type).status == 403
    assert browser.open(first + EXPERIMENTS, "POST", change, Origin=first, **json_type).status == 200

    stolen = next(iter(browser.jar)).value
    browser.open(first + "/logout", "POST", Origin=first)
    assert not list(browser.jar)
    assert rest(servers, Cookie=f"penstock_session={stolen}").status == 401


def test_a_session_that_nobody_began(servers: Replicas) -> None:
    for value in ("x" * 43, "", "a=b", "%00"):
        assert rest(servers, Cookie=f"penstock_session={value}").status == 401


def test_no_secret_is_in_the_logs(servers: Replicas, issuer: OidcIssuer, token: str) -> None:
    sent = issuer.token()
    rest(servers, **bearer(sent))
    rest(servers, **bearer(token))
    rest(servers, **bearer(token[:-3] + "aaa"))
    logs = "".join(server.log for server in servers.servers)
    for secret in (SECRET, sent, sent.split(".")[2], token, token.split("_", 2)[2]):
        assert secret not in logs


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (["--auth", "kubeflow"], "--trusted-proxy"),
        (["--auth", "oidc", "--oidc-issuer", "https://accounts.example.com"], "--oidc-audience"),
    ],
)
def test_what_would_believe_everybody_does_not_start(tmp_path: Path, options: list[str], missing: str) -> None:
    command = [sys.executable, "-m", "penstock_server.main", "--data-dir", str(tmp_path), "--metadata-database", "none"]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2 and missing in ended.stderr
