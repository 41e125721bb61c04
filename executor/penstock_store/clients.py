"""Creates clients of object stores from settings and environment variables.

Invariants: the only module that knows the client library's configuration; what settings and URIs bring into a request
was checked (`request_parts`). The router imports it when the first client is needed, so that the agent starts fast.
Settings with credentials use these alone; for settings without, the library finds the ambient ones of its process
(keys, workload identity, metadata service).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from penstock_store.base import ArtifactStoreError, Limits
from penstock_store.config import S3_LIKE, BucketSettings
from penstock_store.request_parts import check_credentials, check_request
from penstock_store.session_keys import SessionFile
from penstock_store.uris import ObjectUri

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_MOST_TRIES = 1000


def endpoint_of(settings: BucketSettings) -> str:
    """For messages: where requests go."""
    names = {**dict.fromkeys(S3_LIKE, "AWS S3"), "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
    return settings.endpoint or names[settings.provider]


def credentials_of(settings: BucketSettings) -> str:
    """For messages: where credentials come from."""
    if settings.session_file:
        return "those of this attempt alone, for its inputs, its own outputs and the `outputRoots` of `assumeRole`"
    if not settings.credentials:
        return "those of the environment (keys or workload identity)"
    keys = ", ".join(variable.key for variable in settings.credentials)
    return f"{keys} of the Secret {settings.credentials[0].secret!r}"


def open_bucket(
    settings: BucketSettings, location: ObjectUri, environ: Mapping[str, str], limits: Limits
) -> ObjectStore:
    """A client of one bucket. Raises ArtifactStoreError for missing credentials and wrong settings."""
    check_request(settings, location, _region(settings, environ) if settings.provider in S3_LIKE else "")
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=limits.connect),
        "read_timeout": timedelta(seconds=limits.stall),
        "timeout": timedelta(seconds=limits.timeout),
        "allow_http": settings.endpoint.startswith("http://"),
    }
    if settings.ca_bundle:
        client["root_certificate"] = settings.ca_bundle
    retry: RetryConfig = {
        "max_retries": min(settings.max_attempts, _MOST_TRIES) - 1 if settings.max_attempts else _MOST_TRIES,
        "retry_timeout": timedelta(seconds=limits.retry_seconds),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    build = {**dict.fromkeys(S3_LIKE, _s3), "gs": _google, "az": _azure}[settings.provider]
    credentials = {} if settings.session_file else credential_values(settings, str(location), environ)
    try:
        return build(settings, location, credentials, environ, client, retry)
    except (BaseError, ValueError) as error:
        raise ArtifactStoreError(f"{location}: the store's settings are wrong: {str(error)[:300]}") from error


def credential_values(settings: BucketSettings, what: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The values, by the names of the variables without their prefix; empty for what the environment offers.

    Raises ArtifactStoreError, which begins with `what`, for those that are missing or cannot be used.
    """
    check_credentials(settings, what, environ)
    names = [variable.name for variable in settings.credentials]
    return {name.removeprefix(f"{settings.variables}_"): environ[name] for name in names}


def _region(settings: BucketSettings, environ: Mapping[str, str]) -> str:
    return settings.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _s3(
    settings: BucketSettings,
    location: ObjectUri,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
    client: ClientConfig,
    retry: RetryConfig,
) -> ObjectStore:
    options: dict[str, Any] = {}
    path_style = settings.path_style
    if path_style is None:
        # AWS's wildcard certificate does not match a host name made of a bucket with a dot.
        path_style = bool(settings.endpoint) or "." in location.bucket
    if settings.endpoint:
        options["endpoint"] = settings.endpoint
        if not path_style:
            parts = urlsplit(settings.endpoint)
            options["endpoint"] = parts._replace(netloc=f"{location.bucket}.{parts.netloc}").geturl()
    if settings.checksums:
        options["checksum_algorithm"] = "SHA256"
    if settings.session_file:
        options["credential_provider"] = SessionFile(Path(settings.session_file))
    elif credentials:
        options["access_key_id"] = credentials["ACCESS_KEY"]
        options["secret_access_key"] = credentials["SECRET_KEY"]
        # Otherwise a session token of the environment would be sent with keys that it does not belong to.
        options["session_token"] = ""
    return S3Store(
        location.bucket,
        region=_region(settings, environ),
        virtual_hosted_style_request=not path_style,
        client_options=client,
        retry_config=retry,
        **options,
    )


def _google(
    settings: BucketSettings,
    location: ObjectUri,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
    client: ClientConfig,
    retry: RetryConfig,
) -> ObjectStore:
    options: dict[str, Any] = {}
    if settings.endpoint:
        options["base_url"] = settings.endpoint
    if credentials:
        options["service_account_key"] = credentials["TOKEN"]
    elif settings.endpoint.startswith("http://"):
        # Plain HTTP means an emulator, which needs no token; none may be sent in the clear.
        anonymous = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        options["service_account_key"] = json.dumps({"gcs_base_url": settings.endpoint, **anonymous})
    return GCSStore(location.bucket, client_options=client, retry_config=retry, **options)


def _azure(
    settings: BucketSettings,
    location: ObjectUri,
    credentials: Mapping[str, str],
    environ: Mapping[str, str],
    client: ClientConfig,
    retry: RetryConfig,
) -> ObjectStore:
    container, _, host = location.bucket.partition("@")
    options: dict[str, Any] = {}
    account = settings.account
    if host:
        account, _, domain = host.partition(".")
        if domain not in ("dfs.core.windows.net", "blob.core.windows.net"):
            # Credentials are sent to no host that only a URI names.
            raise ArtifactStoreError(f"{location}: {host} is no account of Azure; configure others as `endpoint`")
    if account:
        options["account_name"] = account
    if settings.endpoint:
        options["endpoint"] = settings.endpoint
    if credentials:
        options["account_key"] = credentials["ACCOUNT_KEY"]
    return AzureStore(container, client_options=client, retry_config=retry, **options)
