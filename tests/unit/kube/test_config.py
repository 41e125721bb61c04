"""The configuration of a cluster from kubeconfig files, plugins and service accounts of Pods."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock_kube import config
from penstock_kube.config import load_cluster
from penstock_kube.errors import KubeConfigError

from tests.support.certificates import self_signed

_EXEC = "client.authentication.k8s.io/v1"


def named(kind: str, entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, kind: entry} for name, entry in entries.items()]


def kubeconfig(path: Path, *, current: str = "", cluster: dict[str, Any] | None = None, **users: Any) -> str:
    """A file with one cluster and, for each user, a context of the same name."""
    document = {
        "clusters": named("cluster", {"c": {"server": "https://h:6443/", **(cluster or {})}}),
        "users": named("user", users),
        "contexts": named(
            "context", {name: {"cluster": "c", "user": name, "namespace": f"of-{name}"} for name in users}
        ),
    }
    if current:
        document["current-context"] = current  # type: ignore[assignment]
    path.write_text(yaml.safe_dump(document))
    return str(path)


def plugin(path: Path, *, expires: str) -> dict[str, Any]:
    """A command that gives another token each time."""
    status = {"token": "t%s", "expirationTimestamp": expires}
    credential = json.dumps({"apiVersion": _EXEC, "kind": "ExecCredential", "status": status})
    path.write_text(
        f"#!{sys.executable}\n"
        "import pathlib\n"
        f"count = pathlib.Path({str(path)!r} + '.count')\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        f"print({credential!r} % number)\n"
    )
    path.chmod(0o755)
    return {"exec": {"apiVersion": _EXEC, "command": str(path), "interactiveMode": "Never"}}


def test_the_current_context_and_a_named_one(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "a", current="one", one={"token": "1"}, two={"username": "u", "password": "p"})
    first = load_cluster(kubeconfig=path)
    assert (first.server, first.namespace, first.headers()) == (
        "https://h:6443",
        "of-one",
        {"Authorization": "Bearer 1"},
    )
    second = load_cluster(kubeconfig=path, context="two")
    assert (second.namespace, second.headers()) == ("of-two", {"Authorization": "Basic dTpw"})


def test_several_files_are_one_configuration_and_the_first_word_counts(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    files = [
        kubeconfig(tmp_path / "a", one={"tokenFile": "token"}),
        kubeconfig(tmp_path / "b", current="two", two={"token": "2"}),
        kubeconfig(tmp_path / "c", current="three", three={"token": "3"}, one={"token": "never"}),
        str(tmp_path / "missing"),
    ]
    assert load_cluster(kubeconfig=":".join(files)).headers() == {"Authorization": "Bearer 2"}
    # Paths in a file are relative to it.
    found = load_cluster(kubeconfig=":".join(files), context="one")
    assert found.headers() == {"Authorization": "Bearer from a file"}


def test_reload_reads_a_file_that_was_rotated(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "a", current="one", one={"tokenFile": "token"})
    (tmp_path / "token").write_text("old")
    cluster = load_cluster(kubeconfig=path)
    (tmp_path / "token").write_text("new")
    assert cluster.reload is not None
    assert cluster.reload().headers() == {"Authorization": "Bearer new"}


def test_a_plugin_is_asked_again_when_its_token_expires(tmp_path: Path) -> None:
    old = plugin(tmp_path / "old", expires="2020-01-01T00:00:00Z")
    good = plugin(tmp_path / "good", expires="2100-01-01T00:00:00Z")
    path = kubeconfig(tmp_path / "a", old=old, good=good)
    fresh = load_cluster(kubeconfig=path, context="good")
    assert [fresh.headers() for _ in range(3)] == [{"Authorization": "Bearer t1"}] * 3
    stale = load_cluster(kubeconfig=path, context="old")
    assert stale.headers() != stale.headers()


def test_a_plugin_that_fails_is_named(tmp_path: Path) -> None:
    broken = {"exec": {"apiVersion": _EXEC, "command": "no-such-plugin", "interactiveMode": "Never"}}
    with pytest.raises(KubeConfigError, match="no-such-plugin"):
        load_cluster(kubeconfig=kubeconfig(tmp_path / "a", current="one", one=broken))


def test_server_name_and_proxy(tmp_path: Path) -> None:
    special = {"tls-server-name": "inside", "proxy-url": "http://proxy:3128", "insecure-skip-tls-verify": True}
    cluster = load_cluster(kubeconfig=kubeconfig(tmp_path / "a", current="one", cluster=special, one={"token": "1"}))
    assert (cluster.server_name, cluster.proxy) == ("inside", "http://proxy:3128")
    assert cluster.ssl is not None and not cluster.ssl.check_hostname


def test_http_needs_no_certificates(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "a", current="one", cluster={"server": "http://127.0.0.1:8080"}, one={})
    cluster = load_cluster(kubeconfig=path)
    assert cluster.ssl is None and cluster.headers() == {}


def test_certificates(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    files = {"client-certificate": str(certificate), "client-key": str(key)}
    path = kubeconfig(tmp_path / "a", current="one", cluster={"certificate-authority": str(certificate)}, one=files)
    cluster = load_cluster(kubeconfig=path)
    assert cluster.ssl is not None and len(cluster.ssl.get_ca_certs()) == 1
    assert cluster.headers() == {}


@pytest.mark.parametrize(
    ("cluster", "user", "word"),
    [
        ({"certificate-authority": "/no/ca.crt"}, {}, "/no/ca.crt"),
        ({"certificate-authority": "a"}, {}, "certificate authority"),
        ({"certificate-authority-data": "bm9uZQ=="}, {}, "certificate authority"),
        ({"certificate-authority-data": "!"}, {}, "certificate authority"),
        ({}, {"client-certificate": "a", "client-key": "a"}, "client certificate"),
        ({}, {"client-certificate": "/no/tls.crt", "client-key": "a"}, "/no/tls.crt"),
    ],
)
def test_a_certificate_that_cannot_be_read(tmp_path: Path, cluster: Any, user: Any, word: str) -> None:
    path = kubeconfig(tmp_path / "a", current="one", cluster=cluster, one=user)
    with pytest.raises(KubeConfigError, match=word):
        load_cluster(kubeconfig=path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("just text", "not a kubeconfig"),
        ("a: [", "kubeconfig"),
        ("contexts: []\nclusters: []\nusers: []\n", "no context is chosen"),
        ("current-context: gone\ncontexts: []\nclusters: []\nusers: []\n", "no context 'gone'"),
        ("current-context: a\ncontexts: [{name: a, context: {cluster: no}}]\nclusters: []\nusers: []\n", "no"),
    ],
)
def test_what_is_no_kubeconfig(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeConfigError, match=word) as refused:
        load_cluster(kubeconfig=str(path))
    assert str(path) in str(refused.value)


def test_a_file_or_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KubeConfigError, match=r"no such file.*missing"):
        load_cluster(kubeconfig=str(tmp_path / "missing"))
    path = kubeconfig(tmp_path / "a", current="one", one={"token": "1"}, two={"token": "2"})
    with pytest.raises(KubeConfigError, match="no context 'three'; known are: one, two"):
        load_cluster(kubeconfig=path, context="three")


def test_inside_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config, kube_config

    certificate, _ = self_signed(tmp_path)
    token, namespace = tmp_path / "token", tmp_path / "namespace"
    token.write_text("mine\n")
    namespace.write_text("penstock")
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    monkeypatch.setattr(config, "_NAMESPACE_FILE", namespace)
    with pytest.raises(KubeConfigError, match="not in a Pod"):
        load_cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    cluster = load_cluster()
    assert (cluster.server, cluster.namespace) == ("https://10.0.0.1:443", "penstock")
    assert cluster.headers()["Authorization"].lower() == "bearer mine"
    token.write_text("rotated")
    assert cluster.reload is not None
    assert cluster.reload().headers()["Authorization"].lower() == "bearer rotated"
    token.unlink()
    with pytest.raises(KubeConfigError, match="token"):
        cluster.reload()
