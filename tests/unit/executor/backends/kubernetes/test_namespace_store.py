"""Which credentials are used for which store: a namespace's settings never get the deployment's credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from penstock_executor.backends.kubernetes.namespace_store import NamespaceStore, PlaceCredentials, without_roles
from penstock_store.base import ArtifactStoreError
from penstock_store.providers import parse_file, parse_launcher

ENVIRONMENT = "providers: {s3: {default: {endpoint: 'http://elsewhere', credentials: {fromEnv: true}}}}"
SECRET = """
providers:
  s3:
    default:
      endpoint: http://127.0.0.1:1
      maxRetries: 1
      credentials: {secretRef: {secretName: s, accessKeyKey: a, secretKeyKey: b}}
"""


class Deployment:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def for_root(self, root: str) -> Deployment:
        return self

    def local_path(self, uri: str) -> Path | None:
        return None

    async def exists(self, uri: str) -> bool:
        self.asked.append(uri)
        return True

    async def fetch(self, uri: str, target: Path) -> bool:
        return await self.exists(uri)

    async def content(self, uri: str, limit: int) -> bytes | None:
        await self.exists(uri)
        return None

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        return await self.exists(uri)

    async def write(self, content: bytes, uri: str) -> None:
        await self.exists(uri)

    async def create(self, content: bytes, uri: str) -> None:
        await self.exists(uri)


def store(providers: str, variables: dict[str, str] | None = None) -> tuple[Any, Deployment]:
    import yaml

    data = yaml.safe_load(providers)
    own = parse_launcher({"providers": yaml.safe_dump(data["providers"])} if data else {})
    deployment = Deployment()
    return NamespaceStore(own, variables or {}, deployment), deployment


async def test_without_settings_of_its_own_the_deployments_hold() -> None:
    found, deployment = store("")
    assert await found.exists("s3://bucket/key")
    assert deployment.asked == ["s3://bucket/key"]


async def test_another_provider_is_still_the_deployments() -> None:
    found, deployment = store(SECRET)
    assert await found.exists("gs://bucket/key")
    assert deployment.asked == ["gs://bucket/key"]


async def test_the_environment_of_the_executor_is_not_sent_to_a_place_that_a_namespace_names() -> None:
    found, deployment = store(ENVIRONMENT)
    with pytest.raises(ArtifactStoreError, match="name a Secret there"):
        await found.exists("s3://bucket/key")
    assert deployment.asked == []


async def test_a_secret_that_cannot_be_read_is_not_replaced_by_anything() -> None:
    found, deployment = store(SECRET)
    with pytest.raises(ArtifactStoreError, match="PENSTOCK_STORE_S3_ACCESS_KEY"):
        await found.exists("s3://bucket/key")
    assert deployment.asked == []


_ROLE = """
providers:
  s3:
    default:
      credentials: %s
      assumeRole: {roleArn: 'arn:aws:iam::123456789012:role/tasks'}
"""


@pytest.mark.parametrize("named", ["{fromEnv: true}", "{secretRef: {secretName: s, accessKeyKey: a, secretKeyKey: b}}"])
def test_with_which_credentials_a_role_is_asked_for(named: str) -> None:
    """Never, in a namespace of others, with the deployment's."""
    config = parse_file(_ROLE % named)
    (place,) = config.buckets
    deployment, own = {"AWS_ACCESS_KEY_ID": "deployments"}, {"PENSTOCK_STORE_S3_ACCESS_KEY": "namespaces"}
    others = PlaceCredentials(own, None)
    if place.credentials:
        assert others.of(place) == own
    else:
        with pytest.raises(ArtifactStoreError, match=r"assumeRole: .* name a Secret there"):
            others.of(place)
    assert PlaceCredentials(own, deployment).of(place) == {**deployment, **own}
    assert without_roles(config).buckets[0].assume_role is None
