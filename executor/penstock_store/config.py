"""Which settings and credentials reach which URI (executor.md §7).

Invariants: pure. A StoreConfig holds names of Secrets and of environment variables, never a credential, so it may go
anywhere. Variables are named after the place they belong to, so places never share one: `PENSTOCK_STORE_<PROVIDER>_…`
for a provider's default, `PENSTOCK_STORE_<PROVIDER>_<n>_…` for its n-th override (from 1 on).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from penstock_store.base import ArtifactStoreError
from penstock_store.uris import parse, parse_root, scheme_of

DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
PROVIDERS: Mapping[str, str] = {"s3": "s3", "minio": "minio", "gs": "gs", "az": "az", "abfs": "az"}
"""By scheme."""

_MINIO_ENDPOINT = "http://seaweedfs.kubeflow:9000"
_QUERY = {"endpoint", "region", "disableSSL", "disable_https", "s3ForcePathStyle", "use_path_style"}
_QUERY_WITHOUT_EFFECT = {"awssdk", "hostname_immutable"}


@dataclass(frozen=True, slots=True)
class CredentialVariable:
    """The environment variable `name` is to hold the value of `key` in the Secret `secret`."""

    name: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Place:
    """Settings of what lies in `bucket` under `prefix`; empty ones mean everything of the provider.

    `endpoint` has a scheme, or is empty for the provider's own. `path_style` None: path style with an endpoint, the
    provider's habit without. `max_attempts` 0: as long as the reader's patience lasts. `credentials` empty: what the
    environment offers (keys, workload identity). `ca_bundle` is PEM, trusted besides the system's. `checksums`: SHA-256
    is stored with every object.
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

    def holds(self, bucket: str, key: str) -> bool:
        return not self.bucket or (self.bucket == bucket and f"{key}/".startswith(self.prefix))


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """`places` in the order in which they are asked. `roots` are what a deployment's file says may be read."""

    default_root: str = ""
    places: tuple[Place, ...] = ()
    roots: tuple[str, ...] = ()

    def place(self, uri: str) -> Place:
        """The settings of an object store's URI. Raises ArtifactStoreError."""
        where = parse(uri)
        provider = PROVIDERS.get(where.scheme)
        if provider is None:
            raise ArtifactStoreError(
                f"{uri}: no store for {where.scheme}://; use file or one of {', '.join(PROVIDERS)}"
            )
        for place in self.places:
            if place.provider == provider and place.holds(where.bucket, where.key):
                return place
        return default_place(provider)

    def credentials_env(self, uris: Iterable[str]) -> tuple[CredentialVariable, ...]:
        """What has to be in the environment of a program that reaches these URIs; `file://` ones need nothing."""
        found = {variable for uri in uris if scheme_of(uri) in PROVIDERS for variable in self.place(uri).credentials}
        return tuple(sorted(found, key=lambda variable: variable.name))

    def for_root(self, root: str) -> StoreConfig:
        """With what the query string of a pipeline root says, which counts before everything else.

        Raises ArtifactStoreError.
        """
        if scheme_of(root) not in ("s3", "minio") or "?" not in root:
            return self
        where = parse_root(root)
        unknown = set(where.query) - _QUERY - _QUERY_WITHOUT_EFFECT
        if unknown:
            raise ArtifactStoreError(f"{root}: unknown setting {sorted(unknown)[0]!r}; known are {', '.join(_QUERY)}")
        said = {name: value.lower() in ("1", "t", "true") for name, value in where.query.items()}
        style = said.get("s3ForcePathStyle", said.get("use_path_style"))
        insecure = said.get("disableSSL", False) or said.get("disable_https", False)
        place = Place(
            provider=where.scheme,
            variables="",
            bucket=where.bucket,
            prefix=f"{where.prefix}/" if where.prefix else "",
            endpoint=endpoint_url(where.query.get("endpoint", ""), insecure),
            region=where.query.get("region", ""),
            path_style=style,
        )
        return replace(self, places=(place, *self.places))

    def named_roots(self) -> tuple[str, ...]:
        """What a deployment says that its stores hold: the default root, `roots`, and buckets with settings of their
        own. `file://` ones are left out.
        """
        named = (f"{place.provider}://{place.bucket}/{place.prefix}" for place in self.places if place.bucket)
        return tuple(root for root in (self.default_root, *self.roots, *named) if scheme_of(root) in PROVIDERS)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without a credential."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> StoreConfig:
        """Of what `to_json` made, also of a later release: fields that are not known are ignored."""
        names = {one.name for one in fields(Place)}
        places = []
        for entry in document.get("places", ()):
            known = {name: value for name, value in entry.items() if name in names}
            known["credentials"] = tuple(CredentialVariable(**one) for one in known.get("credentials", ()))
            places.append(Place(**known))
        return StoreConfig(document.get("default_root", ""), tuple(places), tuple(document.get("roots", ())))


def default_place(provider: str) -> Place:
    """What counts for a provider that no configuration speaks of."""
    stem = f"PENSTOCK_STORE_{provider.upper()}"
    if provider != "minio":
        return Place(provider, stem)
    secret = "mlpipeline-minio-artifact"  # noqa: S105 - the name of a Secret
    return Place(
        provider,
        stem,
        endpoint=_MINIO_ENDPOINT,
        region="minio",
        credentials=(
            CredentialVariable(f"{stem}_ACCESS_KEY", secret, "accesskey"),
            CredentialVariable(f"{stem}_SECRET_KEY", secret, "secretkey"),
        ),
    )


def endpoint_url(text: str, insecure: bool) -> str:
    """With a scheme; empty for AWS itself, which is found without."""
    bare = text.split("://", 1)[-1].rstrip("/")
    if bare in ("", "s3.amazonaws.com"):
        return ""
    return text.rstrip("/") if "://" in text else f"{'http' if insecure else 'https'}://{bare}"
