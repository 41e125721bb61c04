"""Parses the settings of stores: the `kfp-launcher` ConfigMap and the deployment's own file (executor.md §7).

Invariants: pure; an error names the field. Unknown settings, which upstream ignores, are refused, so that a misspelt
one is found before the first run. An override without `maxRetries` has the default's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_store.base import ArtifactStoreError
from penstock_store.config import S3_LIKE, BucketSettings, CredentialVariable, StoreConfig, endpoint_url

_SECRET_KEYS: Mapping[str, Mapping[str, str]] = {
    # The part of a secretRef that names a key -> the end of the variable that gets its value.
    **{provider: {"accessKeyKey": "ACCESS_KEY", "secretKeyKey": "SECRET_KEY"} for provider in S3_LIKE},
    "gs": {"tokenKey": "TOKEN"},
    "az": {"accountKeyKey": "ACCOUNT_KEY"},
}
_S3_SETTINGS = {"endpoint", "region", "disableSSL", "forcePathStyle", "maxRetries", "caBundle", "checksums"}
_SETTINGS: Mapping[str, set[str]] = {
    **dict.fromkeys(S3_LIKE, _S3_SETTINGS),
    "gs": {"endpoint", "maxRetries", "caBundle"},
    "az": {"endpoint", "account", "maxRetries", "caBundle"},
}


def parse_launcher(data: Mapping[str, str]) -> StoreConfig:
    """The ConfigMap `kfp-launcher` by its `data`. Raises ArtifactStoreError that names the field."""
    return StoreConfig(
        default_root=data.get("defaultPipelineRoot", ""),
        buckets=_parse_providers(_yaml(data.get("providers", ""), "providers")),
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
    return BucketSettings(
        provider=provider,
        variables=variables,
        bucket=_text(entry, "bucketName", where),
        prefix=_text(entry, "keyPrefix", where).lstrip("/"),
        endpoint=endpoint_url(
            provider,
            _text(entry, "endpoint", where),
            bool(_flag(entry, "disableSSL", where)),
            f"{where}.endpoint",
        ),
        region=_text(entry, "region", where) or ("minio" if provider == "minio" else ""),
        account=_text(entry, "account", where),
        path_style=_flag(entry, "forcePathStyle", where),
        max_attempts=0 if attempts is None else max(1, attempts),
        ca_bundle=_text(entry, "caBundle", where),
        checksums=bool(_flag(entry, "checksums", where)),
        credentials=_credentials(provider, variables, entry["credentials"], f"{where}.credentials"),
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
