"""Which settings and credentials reach which URI (executor.md §7).

Invariants: pure. A StoreConfig holds names of Secrets and of environment variables, never a credential, so it may go
anywhere. Variables are named after the settings they belong to, so none is shared: `PENSTOCK_STORE_<PROVIDER>_…` for a
provider's default, `PENSTOCK_STORE_<PROVIDER>_<n>_…` for its n-th override (from 1 on).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from penstock_store.base import ArtifactStoreError
from penstock_store.uris import parse, parse_root, scheme_of

DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
PROVIDERS: Mapping[str, str] = {"s3": "s3", "minio": "minio", "gs": "gs", "az": "az", "abfs": "az"}
"""Scheme -> provider: whose settings, variables and client serve it."""
S3_LIKE = ("s3", "minio")
"""The providers that the client of S3 serves; they have the same settings and the same keys in their Secrets."""

_WITHOUT_ENDPOINT = {"s3", "gs", "az"}
"""The providers whose address the client library knows. Every other needs an `endpoint`: without one, the client of S3
would ask AWS, with whatever keys the environment has."""
_MINIO_ENDPOINT = "http://seaweedfs.kubeflow:9000"
_S3_QUERY = {
    *("endpoint", "region", "disableSSL", "disable_https", "s3ForcePathStyle", "use_path_style"),
    # Upstream's, without effect here.
    *("awssdk", "hostname_immutable"),
}
_QUERY: Mapping[str, set[str]] = dict.fromkeys(S3_LIKE, _S3_QUERY)
"""The settings that a root of a provider may carry in its query string."""


@dataclass(frozen=True, slots=True)
class CredentialVariable:
    """The environment variable `name` is to hold the value of `key` in the Secret `secret`."""

    name: str
    secret: str
    key: str


SESSION_SECONDS = 3600
"""For how long temporary credentials hold, unless said otherwise: longer is not given to who has a role itself."""


@dataclass(frozen=True, slots=True)
class AssumeRole:
    """The role whose rights, cut down to one attempt's places, an agent gets instead of the store's own credentials.

    `setting` is where the settings say so, for messages. `endpoint` is that of the service of temporary credentials
    (STS); empty for AWS's of the region. `output_roots` are URIs under which every attempt may store and read, besides
    its own places.
    """

    setting: str
    role_arn: str
    endpoint: str = ""
    external_id: str = ""
    duration_seconds: int = SESSION_SECONDS
    output_roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Settings for the objects in `bucket` under `prefix`; empty means every bucket of the provider.

    `endpoint` has a scheme, or is empty for the provider's own. `path_style` None: path style with an endpoint, the
    provider's default without. `max_attempts` 0: retried for `Limits.retry_seconds`. `credentials` empty: what the
    environment offers (keys, workload identity). `ca_bundle` is PEM, trusted besides the system's. `checksums`: SHA-256
    is stored with every object. `assume_role` is for whoever starts agents; clients do without. `session_file`: the
    file with the temporary credentials that are used instead of `credentials` (`session_keys`).
    """

    provider: str
    variables: str
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    account: str = ""
    path_style: bool | None = None
    max_attempts: int = 0
    ca_bundle: str = ""
    checksums: bool = False
    credentials: tuple[CredentialVariable, ...] = ()
    assume_role: AssumeRole | None = None
    session_file: str = ""

    def holds(self, bucket: str, key: str) -> bool:
        return not self.bucket or (self.bucket == bucket and f"{key}/".startswith(self.prefix))


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """`buckets`: the first whose bucket and prefix match is used. `roots`: what a deployment's file allows to be
    read.
    """

    default_root: str = ""
    buckets: tuple[BucketSettings, ...] = ()
    roots: tuple[str, ...] = ()

    def settings_for(self, uri: str) -> BucketSettings:
        """The settings of an object store's URI. Raises ArtifactStoreError."""
        location = parse(uri)
        provider = PROVIDERS.get(location.scheme)
        if provider is None:
            raise ArtifactStoreError(
                f"{uri}: no store for {location.scheme}://; use file or one of {', '.join(PROVIDERS)}"
            )
        for settings in self.buckets:
            if settings.provider == provider and settings.holds(location.bucket, location.key):
                return settings
        return default_settings(provider)

    def credentials_env(self, uris: Iterable[str]) -> tuple[CredentialVariable, ...]:
        """The variables that a program needs in its environment to reach these URIs; `file://` needs none."""
        variables = {
            variable for uri in uris if scheme_of(uri) in PROVIDERS for variable in self.settings_for(uri).credentials
        }
        return tuple(sorted(variables, key=lambda variable: variable.name))

    def for_root(self, root: str) -> StoreConfig:
        """A copy with the settings in the query string of a pipeline root, which come before all others.

        Raises ArtifactStoreError.
        """
        provider = PROVIDERS.get(scheme_of(root))
        if provider is None or "?" not in root:
            return self
        location = parse_root(root)
        known = _QUERY.get(provider, set())
        for name in sorted(set(location.query) - known):
            told = f"known are {', '.join(sorted(known))}" if known else f"a root of {provider} has none"
            raise ArtifactStoreError(f"{root}: unknown setting {name!r}; {told}")
        if not location.query:
            return self
        flags = {name: value.lower() in ("1", "t", "true") for name, value in location.query.items()}
        style = flags.get("s3ForcePathStyle", flags.get("use_path_style"))
        insecure = flags.get("disableSSL", False) or flags.get("disable_https", False)
        settings = BucketSettings(
            provider=provider,
            variables="",
            bucket=location.bucket,
            prefix=f"{location.prefix}/" if location.prefix else "",
            endpoint=endpoint_url(provider, location.query.get("endpoint", ""), insecure, f"{root}: endpoint"),
            region=location.query.get("region", ""),
            path_style=style,
        )
        return replace(self, buckets=(settings, *self.buckets))

    def with_default_root(self, root: str) -> StoreConfig:
        """A copy whose default root is `root`, with the settings in its query string. Raises ArtifactStoreError."""
        return replace(self.for_root(root), default_root=root)

    def named_roots(self) -> tuple[str, ...]:
        """The object store URIs that the deployment names: the default root, `roots`, and buckets with settings of
        their own, by every scheme of their provider.
        """
        named = (
            f"{scheme}://{settings.bucket}/{settings.prefix}"
            for settings in self.buckets
            if settings.bucket
            for scheme, provider in PROVIDERS.items()
            if provider == settings.provider
        )
        return tuple(root for root in (self.default_root, *self.roots, *named) if scheme_of(root) in PROVIDERS)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without a credential."""
        # Agents of earlier releases read `buckets` under this key.
        return {"places" if name == "buckets" else name: value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> StoreConfig:
        """The inverse of `to_json`. Fields of a later release are ignored."""
        names = {field.name for field in fields(BucketSettings)}
        buckets = []
        for entry in document.get("places", ()):
            values = {name: value for name, value in entry.items() if name in names}
            values["credentials"] = tuple(CredentialVariable(**variable) for variable in values.get("credentials", ()))
            if (role := values.get("assume_role")) is not None:
                values["assume_role"] = AssumeRole(**{**role, "output_roots": tuple(role["output_roots"])})
            buckets.append(BucketSettings(**values))
        return StoreConfig(document.get("default_root", ""), tuple(buckets), tuple(document.get("roots", ())))


def default_settings(provider: str) -> BucketSettings:
    """The settings of a provider that the configuration does not mention. Raises ArtifactStoreError when nobody knows
    its address.
    """
    variables = f"PENSTOCK_STORE_{provider.upper()}"
    if provider != "minio":
        endpoint = endpoint_url(provider, "", False, f"providers.{provider}.default.endpoint")
        return BucketSettings(provider, variables, endpoint=endpoint)
    secret = "mlpipeline-minio-artifact"  # noqa: S105 - the name of a Secret
    return BucketSettings(
        provider,
        variables,
        endpoint=_MINIO_ENDPOINT,
        region="minio",
        credentials=(
            CredentialVariable(f"{variables}_ACCESS_KEY", secret, "accesskey"),
            CredentialVariable(f"{variables}_SECRET_KEY", secret, "secretkey"),
        ),
    )


def endpoint_url(provider: str, text: str, insecure: bool, setting: str) -> str:
    """`text` with a scheme; empty where the client library knows the address. `setting` names it in the error.

    Raises ArtifactStoreError when the provider needs an endpoint and `text` is empty.
    """
    bare = text.split("://", 1)[-1].rstrip("/")
    if not bare and provider not in _WITHOUT_ENDPOINT:
        raise ArtifactStoreError(f"{setting}: it is required")
    if bare in ("", "s3.amazonaws.com"):
        return ""
    return text.rstrip("/") if "://" in text else f"{'http' if insecure else 'https'}://{bare}"
