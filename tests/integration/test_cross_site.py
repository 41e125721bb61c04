"""Cross-site requests of browsers are refused on every route; programs and the server's own pages are served."""

from __future__ import annotations

import http.client
import json
import socket
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request
from penstock.client import Client
from penstock_server.gateway.cross_site import SitePolicy, host_name, origin, refusal

from tests.support.routes import routes
from tools.embedded import Embedded

EXPERIMENTS = "/apis/v2beta1/experiments"
NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36"}


def ask(
    up: Embedded, verb: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """With these headers alone, and a Host unless they have one (an empty one is left out)."""
    address = urlsplit(up.http).netloc
    connection = http.client.HTTPConnection(address, timeout=60)
    sent = {"Host": address, **(headers or {})}
    connection.putrequest(verb, path, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        if value:
            connection.putheader(name, value.replace("PORT", address.rpartition(":")[2]))
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    reply = connection.getresponse()
    found = reply.status, reply.read()
    connection.close()
    return found


def made(up: Embedded, headers: dict[str, str]) -> int:
    """The status of a POST that makes an experiment; it is there exactly when that is 200."""
    name = uuid.uuid4().hex
    status, _ = ask(up, "POST", EXPERIMENTS, json.dumps({"display_name": name}).encode(), headers)
    with Client(up.grpc) as client:
        assert (name in {one.display_name for one in client.list_experiments()}) == (status == 200)
    return status


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # Programs.
        (JSON, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({}, 200),
        (FORM, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=b"}, 415),
        ({"Content-Type": "application/jsonp"}, 415),
        # Pages of our own.
        ({**JSON, "Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"}, 200),
        ({**JSON, "Origin": "http://127.0.0.1:PORT"}, 200),
        ({**JSON, "Origin": "HTTP://LocalHost:PORT", "Host": "localhost:PORT"}, 200),
        ({**JSON, "Origin": "http://[::1]:PORT", "Host": "[::1]:PORT"}, 200),
        ({**JSON, "Origin": "http://localhost", "Host": "localhost"}, 200),
        ({**JSON, "Origin": "https://localhost", "Host": "localhost", "X-Forwarded-Proto": "https"}, 200),
        # As the web UI's own server passes it on when it stands in front.
        ({**JSON, "Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-origin"}, 200),
        # Pages of others.
        ({**JSON, "Origin": "http://evil.example"}, 403),
        ({**JSON, "Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1:3000"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1"}, 403),
        ({**JSON, "Origin": "https://127.0.0.1:PORT"}, 403),
        ({**JSON, "Origin": "http://localhost:PORT"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1:PORT@evil.example"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1:PORT.evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Origin": "nonsense"}, 403),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "anything"}, 403),
        ({**JSON, **NAVIGATION}, 403),
        # Names made to point here.
        ({**JSON, "Host": "evil.example:PORT"}, 403),
        ({**JSON, "Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"}, 403),
        ({**JSON, "Host": "evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({**JSON, "Host": "localhost.evil.example"}, 403),
        ({**JSON, "Host": "127.0.0.1.evil.example"}, 403),
        ({**JSON, "Host": "evil.example@127.0.0.1"}, 403),
        ({**JSON, "Host": "2130706433"}, 403),
        ({**JSON, "Host": ""}, 400),
        ({**JSON, "Host": "LOCALHOST.:80"}, 200),
        ({**JSON, "Host": "penstock.localhost"}, 200),
        ({**JSON, "Host": "192.0.2.7:8888"}, 200),
        # Browsers too old to say where they are: by what a page may send unasked.
        ({**BROWSER, **FORM}, 415),
        ({**BROWSER}, 415),
        ({**BROWSER, **JSON}, 200),
        ({**FORM, "Referer": "http://evil.example/"}, 415),
        ({**FORM, "Origin": "http://127.0.0.1:PORT"}, 415),
    ],
)
def test_who_may_write(up: Embedded, headers: dict[str, str], status: int) -> None:
    assert made(up, headers) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        (BROWSER, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        (NAVIGATION, 200),
        ({**NAVIGATION, "Sec-Fetch-Dest": "iframe"}, 403),
        ({**NAVIGATION, "Sec-Fetch-Dest": "object"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({**NAVIGATION, "Host": "evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_who_may_read(up: Embedded, headers: dict[str, str], status: int) -> None:
    found, body = ask(up, "GET", EXPERIMENTS, headers=headers)
    assert found == status
    assert (b"Default" in body) == (status == 200)


def test_a_refusal_says_what_to_do(up: Embedded) -> None:
    for headers, words in (
        ({"Origin": "http://evil.example"}, ["http://evil.example", "--allowed-origin"]),
        ({"Sec-Fetch-Site": "cross-site"}, ["another site", "--allowed-origin"]),
        ({"Host": "evil.example:80"}, ["'evil.example'", "--allowed-host evil.example"]),
    ):
        status, body = ask(up, "GET", EXPERIMENTS, headers=headers)
        document = json.loads(body)
        assert (status, document["code"]) == (403, 7)
        assert all(word in document["message"] for word in words), document
    status, body = ask(up, "POST", EXPERIMENTS, b"{}", {"Content-Type": "text/plain"})
    assert (status, "application/json" in json.loads(body)["message"]) == (415, True)
    status, body = ask(up, "POST", "/apis/v2beta1/pipelines/upload", b"{}", {"Content-Type": "text/plain"})
    assert (status, "multipart/form-data" in json.loads(body)["error_message"]) == (415, True)


@pytest.mark.parametrize("prefix", ["", "/pipeline"])
def test_every_route_is_guarded(up: Embedded, prefix: str) -> None:
    """By name, by origin, and by the type of what is sent; so is what is no route."""
    served = [
        *routes(),
        ("GET", "/"),
        ("GET", "/nothing"),
        ("POST", "/ml_metadata.MetadataStoreService/PutArtifacts"),
        ("OPTIONS", EXPERIMENTS),
        ("PROPFIND", EXPERIMENTS),
    ]
    assert len(served) > 80
    for verb, path in served:
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        ):
            status, body = ask(up, verb, prefix + path, None if verb == "GET" else b"", headers)
            assert (status, json.loads(body)["code"]) == (403, 7), (verb, path, headers)
        if verb not in ("GET", "OPTIONS", "PROPFIND"):
            status, _ = ask(up, verb, prefix + path, b"{}", {"Content-Type": "text/plain"})
            assert status == 415, (verb, path)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server on an address that others reach."""
    directory = tmp_path_factory.mktemp("named")
    options = ("--insecure", "--allowed-host", "*.example.com", "--allowed-origin", "https://Pipelines.example.com/")
    served = Embedded(directory / "data", *options, environment={"PENSTOCK_ALLOWED_HOSTS": "not.used.example"})
    served.http = "http://0.0.0.0:0"
    with served as embedded:
        embedded.http = embedded.http.replace("0.0.0.0", "127.0.0.1")
        yield embedded


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": socket.gethostname()}, 200),
        ({"Host": "pipelines.example.com"}, 200),
        ({"Host": "a.b.example.com:80"}, 200),
        ({"Host": "example.com"}, 403),
        ({"Host": "evilexample.com"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://pipelines.example.com"}, 200),
        ({"Origin": "https://pipelines.example.com:443", "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "http://pipelines.example.com"}, 403),
        ({"Origin": "https://other.example.com"}, 403),
    ],
)
def test_names_and_origins_that_are_allowed(named: Embedded, headers: dict[str, str], status: int) -> None:
    assert made(named, {**JSON, **headers}) == status


@pytest.mark.parametrize(
    ("host", "given", "answers"),
    [
        ("0.0.0.0", (), {"ml-pipeline.kubeflow:8888": True, "10.1.2.3:8888": True, "pipelines.example.com": True}),
        ("0.0.0.0", ("ml-pipeline.kubeflow",), {"ml-pipeline.kubeflow": True, "10.1.2.3": True, "evil.example": False}),
        ("penstock.example.com", (), {"evil.example": True}),
        ("::1", (), {"[::1]:8888": True, "localhost:8888": True, "evil.example:8888": False}),
    ],
)
def test_names_by_the_address_bound_to(host: str, given: tuple[str, ...], answers: dict[str, bool]) -> None:
    """In a cluster it is reached by names of Services and by Pods' addresses, on one's own machine by neither."""
    policy = SitePolicy.serving(host, given, ())
    for name, answered in answers.items():
        request = make_mocked_request("GET", "/livez", headers={"Host": name})
        assert (refusal(request, policy) is None) == answered, name


def test_settings() -> None:
    assert SitePolicy.serving("0.0.0.0", (), ()).hosts is None
    assert SitePolicy.serving("127.0.0.1", (), ()).hosts == ("127.0.0.1",)
    assert SitePolicy.serving("::1", (), ()).hosts == ("::1",)
    assert SitePolicy.serving("::", ("a",), ()).hosts == ("a", "::")
    assert host_name(" Penstock.Example.com. ") == "penstock.example.com"
    assert origin("https://Example.com/") == "https://example.com:443"
    for name in ("", "http://a", "a:80", "a/b", "a b", "*", "a.*"):
        with pytest.raises(ValueError, match="name of a host"):
            host_name(name)
    for text in ("", "null", "example.com", "ftp://a", "https://a/b", "https://"):
        with pytest.raises(ValueError, match="not an origin"):
            origin(text)
