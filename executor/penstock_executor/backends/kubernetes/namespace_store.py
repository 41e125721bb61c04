"""The store of a namespace, as the executor itself reaches it for logs and large results.

Why a class: a namespace's settings may name any endpoint, while the credentials in the executor's environment are those
of the deployment. Invariant: credentials of the deployment are sent to buckets of the deployment only. A bucket that a
namespace names is reached with the Secrets of that namespace, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock_store.base import ArtifactStore, ArtifactStoreError, NoStoreError
from penstock_store.config import PROVIDERS, BucketSettings, StoreConfig
from penstock_store.router import RoutedStore
from penstock_store.uris import scheme_of


@dataclass(frozen=True, slots=True)
class PlaceCredentials:
    """With which variables temporary credentials are asked for: the values of the Secrets that the namespace names, in
    the deployment's own namespace with its environment besides. `environ` None: another namespace."""

    variables: Mapping[str, str] = field(repr=False)
    environ: Mapping[str, str] | None = field(repr=False)

    def of(self, settings: BucketSettings) -> Mapping[str, str]:
        """Raises ArtifactStoreError."""
        if self.environ is not None:
            return {**self.environ, **self.variables}
        if not settings.credentials:
            raise ArtifactStoreError(
                f"{settings.assume_role.setting if settings.assume_role else ''}: the namespace's kfp-launcher takes "
                "the credentials to ask with from the environment, and the executor's are not the namespace's; name a "
                "Secret there as `credentials`"
            )
        return self.variables


def without_roles(config: StoreConfig) -> StoreConfig:
    """The deployment's settings as they hold in a namespace that is not its own: whoever names artifacts there would
    get a right to them from credentials that the namespace does not have."""
    return replace(config, buckets=tuple(replace(one, assume_role=None) for one in config.buckets))


class NamespaceStore:
    """An ArtifactStore. `variables` hold the values of the Secrets that `own` names."""

    def __init__(self, own: StoreConfig, variables: Mapping[str, str], deployment: ArtifactStore) -> None:
        self._own = own
        self._variables = variables
        self._store = RoutedStore(own, variables)
        self._deployment = deployment

    def for_root(self, root: str) -> NamespaceStore:
        return NamespaceStore(self._own.for_root(root), self._variables, self._deployment)

    def local_path(self, uri: str) -> Path | None:
        return self._deployment.local_path(uri)

    async def fetch(self, uri: str, target: Path) -> bool:
        return await self._of(uri).fetch(uri, target)

    async def content(self, uri: str, limit: int) -> bytes | None:
        return await self._of(uri).content(uri, limit)

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        return await self._of(uri).upload(source, uri, replace=replace)

    async def write(self, content: bytes, uri: str) -> None:
        await self._of(uri).write(content, uri)

    async def create(self, content: bytes, uri: str) -> None:
        await self._of(uri).create(content, uri)

    async def exists(self, uri: str) -> bool:
        return await self._of(uri).exists(uri)

    def _of(self, uri: str) -> ArtifactStore:
        provider = PROVIDERS.get(scheme_of(uri))
        if all(place.provider != provider for place in self._own.buckets):
            return self._deployment
        if not self._own.settings_for(uri).credentials:
            raise NoStoreError(
                f"{uri}: the namespace's kfp-launcher takes the credentials from the environment, which agents have "
                "and the executor has not; name a Secret there to keep logs and large results"
            )
        return self._store
