"""Address, TLS and credentials of a cluster, from a kubeconfig or the Pod's service account, as kubectl finds them.

Why the `kubernetes` package: it knows all seven ways in which a kubeconfig logs in, such as exec plugins and OIDC. It
is used for nothing else and imported only here, when a cluster is loaded: the import costs 1.3 s of CPU and 65 MiB. Its
versions 28 to 37 differ in the name under which they keep the token.

Invariants: a Cluster never changes; `headers()` is valid for a minute (tokens of service accounts are read anew, exec
plugins run again before theirs expire); `reload()` reads everything anew, certificates too, after the server answered
401. Both block, so call them on a thread.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_kube.errors import KubeConfigError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Cluster:
    """`server` is a URL without a slash at its end; `ssl` is None for http."""

    server: str
    ssl: ssl.SSLContext | None
    headers: Callable[[], Mapping[str, str]]
    namespace: str
    reload: Callable[[], Cluster] | None = None
    server_name: str = ""
    """The host name that the server's certificate must have, if not that of the URL."""
    proxy: str = ""


def load_cluster(*, kubeconfig: str = "", context: str = "") -> Cluster:
    """The cluster of `context`, or of the current one, in the kubeconfig files (a list as in KUBECONFIG).

    Without `kubeconfig`: the files of KUBECONFIG or `~/.kube/config`; when there are none and no context is named, the
    cluster this process runs in. Blocks; may run an exec plugin. Raises KubeConfigError.
    """
    # A slow import, see the module.
    from kubernetes.config import kube_config

    paths = kubeconfig or str(kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
    names = [name for name in paths.split(str(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR)) if name]
    if any(Path(name).expanduser().exists() for name in names):
        return _from_files(paths, context, lambda: load_cluster(kubeconfig=paths, context=context))
    if kubeconfig or context:
        raise KubeConfigError(f"kubeconfig: no such file: {', '.join(names)}")
    return _in_cluster(", ".join(names))


def _in_cluster(tried: str) -> Cluster:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, incluster_config

    configuration = Configuration()
    try:
        incluster_config.load_incluster_config(client_configuration=configuration)
        namespace = _NAMESPACE_FILE.read_text().strip()
    except (ConfigException, OSError) as error:
        raise KubeConfigError(f"no cluster: there is no kubeconfig ({tried}), and not in a Pod: {error}") from error
    return _cluster(configuration, namespace=namespace, reload=lambda: _in_cluster(tried))


def _from_files(paths: str, context: str, reload: Callable[[], Cluster]) -> Cluster:
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, kube_config

    configuration = Configuration()
    try:
        merger = kube_config.KubeConfigMerger(paths)
        merged = merger.config
        # The first file that has a current context, as in kubectl. The package takes the first or the last, by version.
        current_contexts = [
            file["current-context"] for file in merger.config_files.values() if file.get("current-context")
        ]
        active = context or (current_contexts[0] if current_contexts else "")
        context_names = [str(entry["name"]) for entry in merged["contexts"]]
        if active not in context_names:
            missing = f"there is no context {active!r}" if active else "no context is chosen"
            raise KubeConfigError(f"kubeconfig {paths}: {missing}; known are: {', '.join(context_names) or 'none'}")
        loader = kube_config.KubeConfigLoader(merged, active_context=active, config_base_path=None)
        loader.load_and_set(configuration)
        selected = loader.current_context["context"]
        cluster = merged["clusters"].get_with_name(selected["cluster"])["cluster"]
        user = merged["users"].get_with_name(selected["user"], safe=True) if selected.get("user") else None
        plugin = user["user"].safe_get("exec") if user else None
        proxy = str(cluster.safe_get("proxy-url") or "")
    except (ConfigException, OSError, yaml.YAMLError, ValueError) as error:
        raise KubeConfigError(f"kubeconfig {paths}: {error}") from error
    except (TypeError, AttributeError, KeyError) as error:
        # The loaders raise these for YAML that is no kubeconfig.
        raise KubeConfigError(f"kubeconfig {paths}: not a kubeconfig file ({error})") from error
    if plugin and not _authorization(configuration) and not configuration.cert_file:
        raise KubeConfigError(
            f"kubeconfig {paths}: the plugin {plugin.get('command')!r} gave no credentials (see the log)"
        )
    return _cluster(configuration, namespace=selected.get("namespace") or "default", reload=reload, proxy=proxy)


def _cluster(
    configuration: Configuration, *, namespace: str, reload: Callable[[], Cluster], proxy: str = ""
) -> Cluster:
    def headers() -> Mapping[str, str]:
        from kubernetes.config import ConfigException

        try:
            value = _authorization(configuration)
        except (ConfigException, OSError) as error:
            raise KubeConfigError(f"credentials cannot be read anew: {error}") from error
        return {"Authorization": value} if value else {}

    return Cluster(
        server=str(configuration.host).rstrip("/"),
        ssl=_tls(configuration) if str(configuration.host).startswith("https:") else None,
        headers=headers,
        namespace=namespace,
        reload=reload,
        server_name=str(getattr(configuration, "tls_server_name", None) or ""),
        proxy=proxy,
    )


def _authorization(configuration: Configuration) -> str:
    values = (configuration.get_api_key_with_prefix(name) for name in ("BearerToken", "authorization"))
    value = next(filter(None, values), "")
    # A token file may end with a newline, which is not allowed in a header.
    return str(value).strip()


def _tls(configuration: Configuration) -> ssl.SSLContext:
    authority, certificate, key = configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise KubeConfigError(f"certificate authority {authority} cannot be read: {error}") from error
    # Python 3.13 requires extensions by default that the certificate authorities of many clusters lack.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise KubeConfigError(f"client certificate {certificate} cannot be read: {error}") from error
    return context
