"""What may be part of a request's address and head; anything else ended the client library by a panic, or led away."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from penstock_store.base import ArtifactStoreError, Limits
from penstock_store.config import BucketSettings, CredentialVariable
from penstock_store.objects import ObjectBucket
from penstock_store.providers import MAX_PROVIDERS, parse_launcher
from penstock_store.request_parts import is_endpoint
from penstock_store.uris import ObjectUri

KEYS = (CredentialVariable("V_ACCESS_KEY", "keys", "access"), CredentialVariable("V_SECRET_KEY", "keys", "secret"))
S3 = BucketSettings("s3", "V", endpoint="http://127.0.0.1:9", credentials=KEYS)
AZ = BucketSettings("az", "V", account="a", credentials=(CredentialVariable("V_ACCOUNT_KEY", "keys", "key"),))
GS = BucketSettings("gs", "V", credentials=(CredentialVariable("V_TOKEN", "keys", "json"),))
GIVEN = {"V_ACCESS_KEY": "access", "V_SECRET_KEY": "secret", "V_ACCOUNT_KEY": "YQ=="}
LIMITS = Limits(retry_seconds=0.1, connect=0.1, stall=0.1)


def opened(settings: BucketSettings, bucket: str = "b", **values: str) -> ObjectBucket:
    return ObjectBucket(settings, ObjectUri(settings.provider, bucket, "key"), {**GIVEN, **values}, LIMITS)


@pytest.mark.parametrize(
    "bucket", ["evil.example\\", 'a"b', "a<b", "ü", "a%2f", "a@b", "a:80", "[::1]", "-a", "a\x7f", "x" * 256]
)
def test_what_is_no_bucket(bucket: str) -> None:
    with pytest.raises(ArtifactStoreError, match="name of a bucket"):
        opened(S3, bucket)


@pytest.mark.parametrize("bucket", ["b", "My_old.Bucket", "a-b.c", "$root"])
def test_a_bucket(bucket: str) -> None:
    opened(S3, bucket)
    opened(AZ, bucket)


def test_a_container_has_its_account() -> None:
    opened(AZ, "c@account.dfs.core.windows.net")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (replace(S3, region="evil.example/#"), "region"),
        (replace(S3, region="a\n"), "region"),
        (replace(AZ, account="127.0.0.1:9/#"), "account"),
        (replace(AZ, account="evil\\"), "account"),
        (replace(S3, path_style=False), "forcePathStyle"),
        (replace(S3, endpoint="http://[::1]:9", path_style=False), "forcePathStyle"),
    ],
)
def test_settings_that_lead_elsewhere(settings: BucketSettings, named: str) -> None:
    with pytest.raises(ArtifactStoreError, match=named):
        opened(settings)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://", "garbage", "ftp://host", "http://a b", "http://[::1", "http://[zz]", "http://ü", "http://host:99999",
        "http://user@host", "http://host\\evil", "http://host?a", "http://host#a", "http://2130706433",
        "http://0x7f000001", "http://127.1", "http://999.999.999.999", "http://host/%2e", "http://host:",
    ],
)  # fmt: skip
def test_what_is_no_endpoint(endpoint: str) -> None:
    assert not is_endpoint(endpoint)
    with pytest.raises(ArtifactStoreError, match="no address"):
        opened(replace(S3, endpoint=endpoint))


@pytest.mark.parametrize(
    "endpoint",
    ["https://store.example", "http://minio.team-a.svc.cluster.local.:9000", "http://127.0.0.1:10000/devstoreaccount1",
     "http://[fd00::1]:9000", "https://9.example"],
)  # fmt: skip
def test_an_endpoint(endpoint: str) -> None:
    assert is_endpoint(endpoint)
    opened(replace(S3, endpoint=endpoint))


@pytest.mark.parametrize(
    ("settings", "values", "named"),
    [
        (S3, {"V_ACCESS_KEY": "hidden\n"}, "'access'.*line break"),
        (S3, {"V_ACCESS_KEY": "hidden\0"}, "'access'"),
        (S3, {"V_SECRET_KEY": "hidden "}, "'secret'"),
        (S3, {"V_SECRET_KEY": ""}, "'secret'.*missing"),
        (S3, {"V_SECRET_KEY": "hidden" * 20_000}, "'secret'.*more than"),
        (GS, {"V_TOKEN": "hidden"}, "'json'.*no JSON"),
        (GS, {"V_TOKEN": '["hidden"]'}, "'json'.*no JSON"),
        (GS, {"V_TOKEN": "[" * 60_000}, "'json'.*no JSON"),
        (GS, {"V_TOKEN": '{"private_key": {"hidden": 1}}'}, "'json'.*no JSON"),
        (GS, {"V_TOKEN": json.dumps({"gcs_base_url": "http://hidden"})}, "'json'.*gcs_base_url"),
        (GS, {"V_TOKEN": json.dumps({"disable_oauth": True, "private_key": "hidden"})}, "'json'.*disable_oauth"),
    ],
)  # fmt: skip
def test_what_is_no_credential_is_named_and_not_shown(
    settings: BucketSettings, values: dict[str, str], named: str
) -> None:
    with pytest.raises(ArtifactStoreError, match=named) as caught:
        opened(settings, **values)
    assert "hidden" not in str(caught.value)


def test_merge_keys_of_a_config_map_do_not_multiply() -> None:
    levels = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 40))
    begun = time.monotonic()
    with pytest.raises(ArtifactStoreError, match="unknown provider"):
        parse_launcher({"providers": f"a0: &a0 {{x: 1, y: 2}}\n{levels}"})
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("providers", "named"),
    [
        ("#" * (MAX_PROVIDERS + 1), "characters"),
        ("[" * 20_000, "nested too deeply"),
        ("s3: !!timestamp x", "cannot be read"),
        ("s3: !!bool x", "cannot be read"),
        ("s3: 2023-99-99", "cannot be read"),
        ("? [a]\n: b", "no YAML"),
        (
            "s3: {default: &d {credentials: {fromEnv: true}, region: x}, overrides: [" + "*d," * 257 + "]}",
            "more than 256",
        ),
    ],
)  # fmt: skip
def test_a_config_map_is_bounded_and_its_errors_are_told(providers: str, named: str) -> None:
    with pytest.raises(ArtifactStoreError, match=named):
        parse_launcher({"providers": providers})
