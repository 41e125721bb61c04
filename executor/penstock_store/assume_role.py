"""Asks a service of temporary credentials (STS) for those of one attempt (docs/stores.md, "An attempt's rights").

Why botocore: whoever asks may itself have a role of a cluster or a machine, and its chain of credentials knows all of
these; the client of objects asks with no session policy. It is imported with this module, by executors whose settings
name a role alone.

Invariants: one call is one request; a failure is an ArtifactStoreError that names the setting, `transient` when the
same request may succeed later. No credential is in an error or a log.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError
from botocore.httpsession import get_cert_path
from cachetools import LRUCache

from penstock_store.base import ArtifactStoreError
from penstock_store.clients import credential_values, credentials_of
from penstock_store.config import AssumeRole, BucketSettings
from penstock_store.session_keys import SessionKeys

_CLIENTS = 64
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_TOO_LARGE = "PackedPolicyTooLarge"
_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown")


@dataclass(frozen=True, slots=True)
class _Client:
    """`bundle` is the file of authorities, which lives as long as the client."""

    calls: Any
    bundle: IO[str] | None


class RoleAssumer:
    """Holds a client for each store and its credentials. May be used by several threads at a time."""

    def __init__(self) -> None:
        self._clients: LRUCache[Any, _Client] = LRUCache(_CLIENTS)
        self._lock = threading.Lock()

    def assume(
        self, settings: BucketSettings, environ: Mapping[str, str], policies: Sequence[str], name: str
    ) -> SessionKeys:
        """The keys of a session `name` (at most 64 letters and digits) under the first of `policies` that the service
        does not find too large. Blocks for one request, or several for large policies. Raises ArtifactStoreError."""
        role = settings.assume_role
        assert role is not None
        try:
            client = self._client(settings, role, environ)
            for index, policy in enumerate(policies):
                asked = {"RoleArn": role.role_arn, "RoleSessionName": name, "Policy": policy}
                if role.external_id:
                    asked["ExternalId"] = role.external_id
                try:
                    answer = client.assume_role(DurationSeconds=role.duration_seconds, **asked)
                except ClientError as error:
                    if _code(error) == _TOO_LARGE and index + 1 < len(policies):
                        continue
                    raise
                given = answer["Credentials"]
                return SessionKeys(
                    given["AccessKeyId"],
                    given["SecretAccessKey"],
                    given["SessionToken"],
                    given["Expiration"].timestamp(),
                )
        except ClientError as error:
            raise _refusal(error, settings, role) from error
        except NoCredentialsError as error:
            raise ArtifactStoreError(
                f"{role.setting}: there are no credentials to ask for temporary ones with; they are "
                f"{credentials_of(settings)}"
            ) from error
        except (ConnectionError, HTTPClientError) as error:
            raise ArtifactStoreError(
                f"{role.setting}: {_endpoint(role)} cannot be reached: {str(error)[:300]}", transient=True
            ) from error
        except (BotoCoreError, ValueError, KeyError, OSError) as error:
            text = f"{role.setting}: {_endpoint(role)} gave no temporary credentials: {str(error)[:300]}"
            raise ArtifactStoreError(text) from error
        raise AssertionError("there is no session without a policy")

    def _client(self, settings: BucketSettings, role: AssumeRole, environ: Mapping[str, str]) -> Any:
        keys = _keys(settings, role, environ)
        known = (settings, tuple(sorted(keys.items())))
        with self._lock:
            if known not in self._clients:
                self._clients[known] = _new_client(settings, role, environ, keys)
            return self._clients[known].calls


def _keys(settings: BucketSettings, role: AssumeRole, environ: Mapping[str, str]) -> dict[str, str]:
    """What is asked with, by botocore's names; empty for what the library finds by itself."""
    values = credential_values(settings, role.setting, environ)
    if values:
        return {"aws_access_key_id": values["ACCESS_KEY"], "aws_secret_access_key": values["SECRET_KEY"]}
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    found = {name.lower(): environ[name] for name in names if environ.get(name)}
    return found if "aws_access_key_id" in found else {}


def _new_client(
    settings: BucketSettings, role: AssumeRole, environ: Mapping[str, str], keys: Mapping[str, str]
) -> _Client:
    session = botocore.session.Session()
    # Profiles are not read, as by the client of objects.
    session.set_config_variable("config_file", os.devnull)
    session.set_config_variable("credentials_file", os.devnull)
    region = settings.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    options: dict[str, Any] = {**keys}
    bundle = None
    if settings.ca_bundle:
        # Besides the system's, as for the store itself. The library takes no text.
        bundle = tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="penstock-ca-", suffix=".crt")  # noqa: SIM115
        system = get_cert_path(True)
        bundle.write(f"{Path(system).read_text('utf-8') if system else ''}\n{settings.ca_bundle}\n")
        bundle.flush()
        options["verify"] = bundle.name
    client = session.create_client(
        "sts",
        region_name=region,
        endpoint_url=role.endpoint or None,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            # The caller asks again, and looks before each time whether there is still somebody to ask for.
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=32,
        ),
        **options,
    )
    return _Client(client, bundle)


def _refusal(error: ClientError, settings: BucketSettings, role: AssumeRole) -> ArtifactStoreError:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = str(error.response.get("Error", {}).get("Message", ""))[:300]
    transient = status >= 500 or status == 429 or _code(error) in _THROTTLED
    return ArtifactStoreError(
        f"{role.setting}: {_endpoint(role)} gave no temporary credentials for {role.role_arn} ({_code(error)}: "
        f"{message}); it was asked with {credentials_of(settings)}",
        transient=transient,
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _endpoint(role: AssumeRole) -> str:
    return role.endpoint or "AWS STS"
