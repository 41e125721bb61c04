"""Makes clients of object stores, by their settings and the environment they are given.

Invariants: the only module that knows the client library's configuration. The router imports it when the first client
is made: the agent starts light. Of a place with credentials nothing is taken from the environment's ambient ones; those
of a place without (keys, workload identity, metadata service) the library takes from its process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from penstock_store.base import ArtifactStoreError, Limits
from penstock_store.config import Place
from penstock_store.uris import ObjectUri

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig


def endpoint_of(place: Place) -> str:
    """For people: where requests go."""
    known = {"s3": "AWS S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
    return place.endpoint or known.get(place.provider, place.provider)


def credentials_of(place: Place) -> str:
    """For people: where credentials come from."""
    if not place.credentials:
        return "those of the environment (keys or workload identity)"
    keys = ", ".join(variable.key for variable in place.credentials)
    return f"{keys} of the Secret {place.credentials[0].secret!r}"


def open_bucket(place: Place, where: ObjectUri, environ: Mapping[str, str], limits: Limits) -> ObjectStore:
    """A client of one bucket. Raises ArtifactStoreError for credentials that are missing."""
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=limits.connect),
        "read_timeout": timedelta(seconds=limits.stall),
        "timeout": timedelta(seconds=limits.timeout),
        "allow_http": place.endpoint.startswith("http://"),
    }
    if place.ca_bundle:
        client["root_certificate"] = place.ca_bundle
    retry: RetryConfig = {
        "max_retries": place.max_attempts - 1 if place.max_attempts else 1000,
        "retry_timeout": timedelta(seconds=limits.patience),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    build = {"gs": _google, "az": _azure}.get(place.provider, _s3)
    credentials = _credentials(place, where, environ)
    try:
        return build(place, where, credentials, environ, client, retry)
    except (BaseError, ValueError) as error:
        raise ArtifactStoreError(f"{where}: the store's settings are wrong: {str(error)[:300]}") from error


def _credentials(place: Place, where: ObjectUri, environ: Mapping[str, str]) -> dict[str, str]:
    """By the end of the variables' names."""
    values: dict[str, str] = {}
    for variable in place.credentials:
        value = environ.get(variable.name, "")
        if not value:
            raise ArtifactStoreError(
                f"{where}: no credentials: key {variable.key!r} of the Secret {variable.secret!r} is missing or empty "
                f"(it is expected in {variable.name})"
            )
        values[variable.name.removeprefix(f"{place.variables}_")] = value
    return values


def _s3(
    place: Place,
    where: ObjectUri,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
    client: ClientConfig,
    retry: RetryConfig,
) -> ObjectStore:
    options: dict[str, Any] = {}
    path_style = place.path_style
    if path_style is None:
        # A dot in the name would not match the certificate of AWS.
        path_style = bool(place.endpoint) or "." in where.bucket
    if place.endpoint:
        options["endpoint"] = place.endpoint
        if not path_style:
            parts = urlsplit(place.endpoint)
            options["endpoint"] = parts._replace(netloc=f"{where.bucket}.{parts.netloc}").geturl()
    if place.checksums:
        options["checksum_algorithm"] = "SHA256"
    if credentials:
        options["access_key_id"] = credentials["ACCESS_KEY"]
        options["secret_access_key"] = credentials["SECRET_KEY"]
        # Else a token of the environment would be sent along with keys it does not belong to.
        options["session_token"] = ""
    return S3Store(
        where.bucket,
        region=place.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        virtual_hosted_style_request=not path_style,
        client_options=client,
        retry_config=retry,
        **options,
    )


def _google(
    place: Place,
    where: ObjectUri,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
    client: ClientConfig,
    retry: RetryConfig,
) -> ObjectStore:
    options: dict[str, Any] = {}
    if place.endpoint:
        options["base_url"] = place.endpoint
    if credentials:
        options["service_account_key"] = credentials["TOKEN"]
    elif place.endpoint.startswith("http://"):
        # An emulator, which asks for no token, and over such a connection none may be sent.
        nobody = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        options["service_account_key"] = json.dumps({"gcs_base_url": place.endpoint, **nobody})
    return GCSStore(where.bucket, client_options=client, retry_config=retry, **options)


def _azure(
    place: Place,
    where: ObjectUri,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
    client: ClientConfig,
    retry: RetryConfig,
) -> ObjectStore:
    container, _, host = where.bucket.partition("@")
    options: dict[str, Any] = {}
    account = place.account
    if host:
        account, _, domain = host.partition(".")
        if domain not in ("dfs.core.windows.net", "blob.core.windows.net"):
            # Credentials go nowhere that a URI alone names.
            raise ArtifactStoreError(f"{where}: {host} is no account of Azure; configure others as `endpoint`")
    if account:
        options["account_name"] = account
    if place.endpoint:
        options["endpoint"] = place.endpoint
    if credentials:
        options["account_key"] = credentials["ACCOUNT_KEY"]
    return AzureStore(container, client_options=client, retry_config=retry, **options)
