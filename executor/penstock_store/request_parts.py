"""What settings, Secrets and URIs may bring into the address and the head of a request.

Why: a namespace's administrators write settings, runs write URIs, and the client library puts both into host names and
headers as they are: a region `evil.example/#` would send requests there, and what is no host or no header ends the
library by a panic, which is no Exception.

Invariants: pure; every client is made of parts that were checked here. An error names the setting or the key, and never
shows what a Secret holds.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping

from penstock_store.base import ArtifactStoreError
from penstock_store.config import BucketSettings
from penstock_store.uris import ObjectUri

_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")
_CONTAINER = re.compile(rf"{_BUCKET.pattern}(?:@[A-Za-z0-9][A-Za-z0-9.-]{{0,254}})?")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,63}")
_ENDPOINT = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::([0-9]{1,5}))?(/[A-Za-z0-9._~/-]*)?"
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_MAX_CREDENTIAL = 64 * 1024
# They lead elsewhere than the settings say, or nowhere.
_STEERING = {"gcs_base_url", "disable_oauth"}


def check_request(settings: BucketSettings, location: ObjectUri, region: str) -> None:
    """Raises ArtifactStoreError for what cannot be part of an address."""
    if not (_CONTAINER if settings.provider == "az" else _BUCKET).fullmatch(location.bucket):
        raise ArtifactStoreError(
            f"{location}: {location.bucket[:80]!r} cannot be the name of a bucket: letters, digits, '.', '_' and '-'"
        )
    if settings.endpoint and not is_endpoint(settings.endpoint):
        raise _wrong(location, "endpoint", settings.endpoint, "it is no address such as https://store.example:9000")
    if settings.path_style is False and settings.endpoint and _host_is_address(settings.endpoint):
        raise _wrong(location, "endpoint", settings.endpoint, "no bucket's name can stand before it: forcePathStyle")
    if region and not _REGION.fullmatch(region):
        raise _wrong(location, "region", region, "it has letters, digits and '-' alone")
    if settings.account and not _ACCOUNT.fullmatch(settings.account):
        raise _wrong(location, "account", settings.account, "it has letters, digits and '-' alone")


def is_endpoint(text: str) -> bool:
    """Whether it is `http[s]://HOST[:PORT][/PATH]`, with a host that no client takes for another."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or int(match.group(2) or 0) > 65535:
        return False
    host = match.group(1)
    return _is_address(host.strip("[]")) or not _looks_like_address(host)


def check_credentials(settings: BucketSettings, what: str, values: Mapping[str, str]) -> None:
    """`values` by the names of the variables.

    Raises ArtifactStoreError, which begins with `what`, for what cannot be a credential.
    """
    for variable in settings.credentials:
        value = values.get(variable.name, "")
        problem = _problem(variable.name, value) if value else "is missing or empty"
        if problem:
            raise ArtifactStoreError(
                f"{what}: no credentials: key {variable.key!r} of the Secret {variable.secret!r} {problem} "
                f"(it is expected in {variable.name})"
            )


def _problem(name: str, value: str) -> str:
    if len(value) > _MAX_CREDENTIAL:
        return f"has more than {_MAX_CREDENTIAL} characters"
    if not name.endswith("_TOKEN"):
        return "" if _PRINTABLE.fullmatch(value) else "holds a space, a line break or a character that no key has"
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    # The library would show a value that is no text.
    if not isinstance(document, dict) or not all(
        isinstance(one, str) for name, one in document.items() if name not in _STEERING
    ):
        return "is no JSON of a service account's key"
    steering = _STEERING & set(document)
    return f"must not say {min(steering)}: give `endpoint` in the settings" if steering else ""


def _host_is_address(endpoint: str) -> bool:
    match = _ENDPOINT.fullmatch(endpoint)
    return match is not None and _looks_like_address(match.group(1))


def _looks_like_address(host: str) -> bool:
    """What ends with a number is one, which some write as one number, in octal or hexadecimal ones."""
    return host.startswith("[") or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _wrong(location: ObjectUri, name: str, value: str, problem: str) -> ArtifactStoreError:
    return ArtifactStoreError(f"{location}: the store's settings are wrong: {name} {value[:200]!r}: {problem}")
