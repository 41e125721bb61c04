"""Parses the settings of stores: the `kfp-launcher` ConfigMap and the deployment's own file (executor.md §7).

Invariants: pure; an error names the field. Unknown settings, which upstream ignores, are refused, so that a misspelt
one is found before the first run. An override without `maxRetries` has the default's. A ConfigMap is written by a
namespace's administrators: its size is bounded, and whatever stands in it is read or is an ArtifactStoreError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from penstock_store.base import ArtifactStoreError
from penstock_store.config import (
    PROVIDERS,
    S3_LIKE,
    SESSION_SECONDS,
    AssumeRole,
    BucketSettings,
    CredentialVariable,
    StoreConfig,
    endpoint_url,
)
from penstock_store.uris import parse

MAX_PROVIDERS = 64 * 1024
"""Characters of `providers` in a ConfigMap."""
_MAX_OVERRIDES = 256
_SECRET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")

_SECRET_KEYS: Mapping[str, Mapping[str, str]] = {
    # The part of a secretRef that names a key -> the end of the variable that gets its value.
    **{provider: {"accessKeyKey": "ACCESS_KEY", "secretKeyKey": "SECRET_KEY"} for provider in S3_LIKE},
    "gs": {"tokenKey": "TOKEN"},
    "az": {"accountKeyKey": "ACCOUNT_KEY"},
}
_S3_SETTINGS = {
    *("endpoint", "region", "disableSSL", "forcePathStyle", "maxRetries", "caBundle", "checksums", "assumeRole"),
}
_ROLE = {"roleArn", "endpoint", "externalId", "durationSeconds", "outputRoots"}
_ROLE_SECONDS = range(900, 43_201)
"""What STS takes."""
_SETTINGS: Mapping[str, set[str]] = {
    **dict.fromkeys(S3_LIKE, _S3_SETTINGS),
    "gs": {"endpoint", "maxRetries", "caBundle"},
    "az": {"endpoint", "account", "maxRetries", "caBundle"},
}


def parse_launcher(data: Mapping[str, str]) -> StoreConfig:
    """The ConfigMap `kfp-launcher` by its `data`. Raises ArtifactStoreError that names the field."""
    text = data.get("providers", "")
    if len(text) > MAX_PROVIDERS:
        raise ArtifactStoreError(f"providers: it has {len(text)} characters, at most {MAX_PROVIDERS} are read")
    return StoreConfig(
        default_root=data.get("defaultPipelineRoot", ""),
        buckets=_parse_providers(_yaml(text, "providers")),
    )


def parse_file(text: str) -> StoreConfig:
    """A deployment's file: `defaultPipelineRoot` and `providers` as in the ConfigMap, and `roots`, a list of what may
    be read besides the default root. Raises ArtifactStoreError that names the field.
    """
    document = _mapping(_yaml(text, "store configuration"), "store configuration")
    _refuse_unknown(document, {"defaultPipelineRoot", "providers", "roots"}, "store configuration")
    providers = document.get("providers")
    roots = document.get("roots") or []
    if not isinstance(roots, list) or not all(isinstance(root, str) for root in roots):
        raise ArtifactStoreError("roots: it must be a list of URIs")
    return StoreConfig(
        default_root=_text(document, "defaultPipelineRoot", ""),
        # The text of a ConfigMap is accepted as well.
        buckets=_parse_providers(_yaml(providers, "providers") if isinstance(providers, str) else providers),
        roots=tuple(roots),
    )


def _parse_providers(providers: Any) -> tuple[BucketSettings, ...]:
    parsed: list[BucketSettings] = []
    for provider, entry in _mapping(providers, "providers").items():
        where = f"providers.{provider}"
        if provider not in _SETTINGS:
            raise ArtifactStoreError(f"{where}: unknown provider; known are {', '.join(_SETTINGS)}")
        section = _mapping(entry, where)
        _refuse_unknown(section, {"default", "overrides"}, where)
        variables = f"PENSTOCK_STORE_{provider.upper()}"
        default = _mapping(section.get("default"), f"{where}.default")
        if not default.get("credentials"):
            raise ArtifactStoreError(f"{where}: missing default credentials")
        default_settings = _parse_section(provider, variables, default, f"{where}.default")
        overrides = section.get("overrides") or []
        if not isinstance(overrides, list):
            raise ArtifactStoreError(f"{where}.overrides: it must be a list")
        if len(overrides) > _MAX_OVERRIDES:
            raise ArtifactStoreError(f"{where}.overrides: there are more than {_MAX_OVERRIDES}")
        for index, override in enumerate(overrides):
            at = f"{where}.overrides[{index}]"
            section_override = _mapping(override, at)
            if not section_override.get("bucketName"):
                raise ArtifactStoreError(f"{at}.bucketName: it is required")
            if not section_override.get("credentials"):
                raise ArtifactStoreError(f"{at}: missing override credentials")
            # Upstream's rule: what an override does not say is as in the default. Credentials have to be its own.
            parsed.append(_parse_section(provider, f"{variables}_{index + 1}", {**default, **section_override}, at))
        parsed.append(default_settings)
    return tuple(parsed)


def _parse_section(provider: str, variables: str, entry: Mapping[str, Any], where: str) -> BucketSettings:
    names = {"credentials", *_SETTINGS[provider]}
    _refuse_unknown(entry, names if where.endswith(".default") else names | {"bucketName", "keyPrefix"}, where)
    attempts = entry.get("maxRetries")
    if attempts is not None and (not isinstance(attempts, int) or isinstance(attempts, bool)):
        raise ArtifactStoreError(f"{where}.maxRetries: it must be a number")
    insecure = bool(_flag(entry, "disableSSL", where))
    endpoint = endpoint_url(provider, _text(entry, "endpoint", where), insecure, f"{where}.endpoint")
    return BucketSettings(
        provider=provider,
        variables=variables,
        bucket=_text(entry, "bucketName", where),
        prefix=_text(entry, "keyPrefix", where).lstrip("/"),
        endpoint=endpoint,
        region=_text(entry, "region", where) or ("minio" if provider == "minio" else ""),
        account=_text(entry, "account", where),
        path_style=_flag(entry, "forcePathStyle", where),
        max_attempts=0 if attempts is None else max(1, attempts),
        ca_bundle=_text(entry, "caBundle", where),
        checksums=bool(_flag(entry, "checksums", where)),
        credentials=_credentials(provider, variables, entry["credentials"], f"{where}.credentials"),
        assume_role=_assume_role(provider, entry.get("assumeRole"), endpoint, f"{where}.assumeRole"),
    )


def _assume_role(provider: str, entry: Any, store: str, where: str) -> AssumeRole | None:
    """`store` is the store's own endpoint: servers other than AWS give temporary credentials there."""
    if entry is None:
        return None
    section = _mapping(entry, where)
    _refuse_unknown(section, _ROLE, where)
    role = _text(section, "roleArn", where)
    if not 20 <= len(role) <= 2048:
        raise ArtifactStoreError(f"{where}.roleArn: it is required, and has between 20 and 2048 characters")
    seconds = section.get("durationSeconds", SESSION_SECONDS)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds not in _ROLE_SECONDS:
        told = f"from {_ROLE_SECONDS.start} to {_ROLE_SECONDS.stop - 1}"
        raise ArtifactStoreError(f"{where}.durationSeconds: it must be a number of seconds {told}")
    roots = section.get("outputRoots") or []
    if not isinstance(roots, list) or not all(isinstance(root, str) for root in roots):
        raise ArtifactStoreError(f"{where}.outputRoots: it must be a list of URIs")
    for index, root in enumerate(roots):
        location = parse(root)
        if PROVIDERS.get(location.scheme) != provider or not location.key.strip("/"):
            raise ArtifactStoreError(f"{where}.outputRoots[{index}]: it must be a URI {provider}://bucket/prefix")
    endpoint = _text(section, "endpoint", where)
    return AssumeRole(
        setting=where,
        role_arn=role,
        endpoint=endpoint_url("s3", endpoint, insecure=False, setting=f"{where}.endpoint") if endpoint else store,
        external_id=_text(section, "externalId", where),
        duration_seconds=seconds,
        output_roots=tuple(roots),
    )


def _credentials(provider: str, variables: str, entry: Any, where: str) -> tuple[CredentialVariable, ...]:
    section = _mapping(entry, where)
    _refuse_unknown(section, {"fromEnv", "secretRef"}, where)
    if _flag(section, "fromEnv", where):
        return ()
    reference = _mapping(section.get("secretRef"), f"{where}.secretRef")
    keys = _SECRET_KEYS[provider]
    _refuse_unknown(reference, {"secretName", *keys}, f"{where}.secretRef")
    for name in ("secretName", *keys):
        if not _text(reference, name, f"{where}.secretRef"):
            raise ArtifactStoreError(f"{where}: neither fromEnv is true nor secretRef.{name} is given")
    if not _SECRET_NAME.fullmatch(reference["secretName"]):
        # It becomes part of a path of the API server.
        raise ArtifactStoreError(f"{where}.secretRef.secretName: {reference['secretName'][:80]!r} is no name of one")
    return tuple(
        CredentialVariable(f"{variables}_{end}", reference["secretName"], reference[name]) for name, end in keys.items()
    )


def _yaml(text: str, where: str) -> Any:
    # Imported late: the agent reads JSON only and does not need it.
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ArtifactStoreError(f"{where}: it is no YAML: {error}") from error
    except RecursionError as error:
        raise ArtifactStoreError(f"{where}: it is nested too deeply") from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        # What the library makes of a value that its tag does not fit.
        raise ArtifactStoreError(f"{where}: it has a value that cannot be read") from error


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ArtifactStoreError(f"{where}: it must be a mapping")
    return value


def _refuse_unknown(entry: Mapping[str, Any], names: set[str], where: str) -> None:
    for name in entry:
        if name not in names:
            raise ArtifactStoreError(f"{where}.{name}: unknown; known are {', '.join(sorted(names))}")


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ArtifactStoreError(f"{where}.{name}: it must be a text")
    return value


def _flag(entry: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, bool):
        raise ArtifactStoreError(f"{where}.{name}: it must be true or false")
    return value
