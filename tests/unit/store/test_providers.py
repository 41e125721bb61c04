"""The kfp-launcher ConfigMap and the deployment's file (executor.md §7)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from penstock_store.base import ArtifactStoreError
from penstock_store.clients import endpoint_of
from penstock_store.config import PROVIDERS, AssumeRole, CredentialVariable, StoreConfig
from penstock_store.providers import parse_file, parse_launcher

_PROVIDERS = """
s3:
  default:
    endpoint: s3.amazonaws.com
    region: eu-central-1
    credentials: {secretRef: {secretName: aws, accessKeyKey: id, secretKeyKey: secret}}
  overrides:
  - bucketName: private
    keyPrefix: teams/alice/
    endpoint: store.example:9000
    disableSSL: true
    forcePathStyle: false
    maxRetries: 2
    credentials: {secretRef: {secretName: alice, accessKeyKey: a, secretKeyKey: b}}
  - bucketName: private
    endpoint: store.example:9000
    credentials: {fromEnv: true}
gs:
  default:
    credentials: {secretRef: {secretName: google, tokenKey: token}}
"""


@pytest.fixture
def config() -> StoreConfig:
    return parse_launcher({"defaultPipelineRoot": "s3://private/teams/alice", "providers": _PROVIDERS})


def test_the_first_override_that_matches_counts(config: StoreConfig) -> None:
    assert config.default_root == "s3://private/teams/alice"
    alice = config.settings_for("s3://private/teams/alice/run/data")
    assert alice.endpoint == "http://store.example:9000"
    assert alice.path_style is False
    assert alice.max_attempts == 2
    assert config.settings_for("s3://private/teams/alice") == alice
    others = config.settings_for("s3://private/teams/alicette/data")
    assert others.endpoint == "https://store.example:9000"
    assert others.credentials == ()
    assert config.settings_for("s3://public/data").region == "eu-central-1"


def test_the_public_endpoint_of_aws_is_none(config: StoreConfig) -> None:
    assert config.settings_for("s3://public/data").endpoint == ""
    text = "{s3: {default: {endpoint: 'https://s3.amazonaws.com/', credentials: {fromEnv: true}}}}"
    assert parse_launcher({"providers": text}).settings_for("s3://b/k").endpoint == ""


def test_places_do_not_share_variables(config: StoreConfig) -> None:
    uris = ["s3://private/teams/alice/x", "s3://private/y", "s3://public/z", "gs://b/k", "file:///x", "oci://image"]
    assert config.credentials_env(uris) == (
        CredentialVariable("PENSTOCK_STORE_GS_TOKEN", "google", "token"),
        CredentialVariable("PENSTOCK_STORE_S3_1_ACCESS_KEY", "alice", "a"),
        CredentialVariable("PENSTOCK_STORE_S3_1_SECRET_KEY", "alice", "b"),
        CredentialVariable("PENSTOCK_STORE_S3_ACCESS_KEY", "aws", "id"),
        CredentialVariable("PENSTOCK_STORE_S3_SECRET_KEY", "aws", "secret"),
    )
    assert config.credentials_env(["s3://private/y"]) == ()


def test_it_travels_as_json(config: StoreConfig) -> None:
    extended = config.for_root("minio://bucket/prefix?endpoint=other:9000&disableSSL=true")
    assert StoreConfig.from_json(json.loads(json.dumps(extended.to_json()))) == extended
    later = {**config.to_json(), "news": 1, "places": [{**config.to_json()["places"][0], "news": 1}]}
    assert StoreConfig.from_json(later).buckets == config.buckets[:1]


def test_an_override_without_attempts_has_the_defaults() -> None:
    text = """
minio:
  default: {endpoint: 'minio:9000', maxRetries: 7, credentials: {fromEnv: true}}
  overrides: [{bucketName: one, endpoint: 'minio:9000', credentials: {fromEnv: true}}]
"""
    config = parse_launcher({"providers": text})
    assert config.settings_for("minio://one/x").max_attempts == 7
    assert config.settings_for("minio://one/x").region == "minio"
    without = parse_launcher({"providers": text.replace("maxRetries: 7, ", "")})
    assert without.settings_for("minio://one/x").max_attempts == 0


def test_an_override_has_what_it_does_not_say_from_the_default_but_for_credentials() -> None:
    text = """
s3:
  default:
    endpoint: store:9000
    disableSSL: true
    region: here
    forcePathStyle: false
    credentials: {secretRef: {secretName: store, accessKeyKey: access, secretKeyKey: secret}}
  overrides:
  - {bucketName: one, credentials: {fromEnv: true}}
  - {bucketName: two, disableSSL: false, region: there, forcePathStyle: true, credentials: {fromEnv: true}}
minio:
  default: {endpoint: 'minio:9000', credentials: {fromEnv: true}}
  overrides: [{bucketName: one, credentials: {fromEnv: true}}]
"""
    config = parse_launcher({"providers": text})
    one, two = config.settings_for("s3://one/x"), config.settings_for("s3://two/x")
    assert (one.endpoint, one.region, one.path_style, one.credentials) == ("http://store:9000", "here", False, ())
    assert (two.endpoint, two.region, two.path_style) == ("https://store:9000", "there", True)
    assert config.settings_for("minio://one/x").endpoint == "https://minio:9000"


def test_what_counts_without_a_configuration() -> None:
    config = parse_launcher({})
    minio = config.settings_for("minio://mlpipeline/v2/artifacts")
    assert minio.endpoint == "http://seaweedfs.kubeflow:9000"
    assert minio.region == "minio"
    assert config.credentials_env(["minio://mlpipeline/x"]) == (
        CredentialVariable("PENSTOCK_STORE_MINIO_ACCESS_KEY", "mlpipeline-minio-artifact", "accesskey"),
        CredentialVariable("PENSTOCK_STORE_MINIO_SECRET_KEY", "mlpipeline-minio-artifact", "secretkey"),
    )
    assert config.credentials_env(["s3://b/k", "gs://b/k", "az://b/k"]) == ()


def test_a_query_counts_before_the_rest(config: StoreConfig) -> None:
    root = "s3://private/teams/alice?endpoint=http://mine:9000&region=here&s3ForcePathStyle=true&awssdk=v2"
    place = config.for_root(root).settings_for("s3://private/teams/alice/run")
    assert (place.endpoint, place.region, place.path_style, place.credentials) == ("http://mine:9000", "here", True, ())
    assert config.for_root(root).settings_for("s3://private/other").endpoint == "https://store.example:9000"
    assert config.for_root("gs://b/p") is config


@pytest.mark.parametrize(
    ("root", "text"),
    [
        ("s3://b/p?profile=x", "unknown setting 'profile'; known are awssdk, disableSSL, disable_https, endpoint"),
        ("minio://b/p?profile=x", "unknown setting 'profile'; known are awssdk"),
        ("minio://b/p?region=x", r"region=x: endpoint: it is required"),
        ("gs://b/p?x=y", "unknown setting 'x'; a root of gs has none"),
        ("az://b/p?endpoint=x", "unknown setting 'endpoint'; a root of az has none"),
        ("abfs://b/p?endpoint=x", "unknown setting 'endpoint'; a root of az has none"),
    ],
)
def test_settings_of_a_root_that_are_wrong_are_refused(config: StoreConfig, root: str, text: str) -> None:
    with pytest.raises(ArtifactStoreError, match=text):
        config.for_root(root)


def test_no_provider_but_s3_means_aws_when_it_has_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS would be asked with whatever keys the environment has."""
    monkeypatch.setitem(PROVIDERS, "other", "other")
    with pytest.raises(ArtifactStoreError, match=r"providers\.other\.default\.endpoint: it is required"):
        StoreConfig().settings_for("other://b/k")
    assert [StoreConfig().settings_for(f"{scheme}://b/k").endpoint for scheme in ("s3", "gs", "az")] == ["", "", ""]
    named = "minio: {default: {endpoint: s3.amazonaws.com, region: here, credentials: {fromEnv: true}}}"
    settings = parse_launcher({"providers": named}).settings_for("minio://b/k")
    assert (settings.endpoint, endpoint_of(settings)) == ("", "AWS S3")


@pytest.mark.parametrize(
    ("providers", "text"),
    [
        ("s3: {overrides: [{bucketName: b, credentials: {fromEnv: true}}]}", r"providers\.s3: missing default cred"),
        ("s3: {default: {region: x}}", "missing default credentials"),
        (
            "s3: {default: {credentials: {fromEnv: true}}, overrides: [{bucketName: b}]}",
            r"providers\.s3\.overrides\[0\]: missing override credentials",
        ),
        (
            "s3: {default: {credentials: {fromEnv: true}}, overrides: [{credentials: {fromEnv: true}}]}",
            r"overrides\[0\]\.bucketName: it is required",
        ),
        ("s3: {default: {credentials: {fromEnv: false}}}", r"credentials: neither fromEnv .* secretRef\.secretName"),
        ("s3: {default: {credentials: {secretRef: {secretName: x, accessKeyKey: y}}}}", r"secretRef\.secretKeyKey"),
        ("minio: {default: {credentials: {fromEnv: true}}}", r"providers\.minio\.default\.endpoint: it is required"),
        ("gs: {default: {region: x, credentials: {fromEnv: true}}}", r"providers\.gs\.default\.region: unknown"),
        ("s3: {default: {maxRetries: many, credentials: {fromEnv: true}}}", "maxRetries: it must be a number"),
        ("s3: {default: {disableSSL: 'yes', credentials: {fromEnv: true}}}", "disableSSL: it must be true or false"),
        ("s3: {default: {region: 5, credentials: {fromEnv: true}}}", "region: it must be a text"),
        ("azure: {default: {}}", r"providers\.azure: unknown provider"),
        ("s3: [1]", r"providers\.s3: it must be a mapping"),
        ("s3: {default: {credentials: {fromEnv: true}}, overrides: 1}", "overrides: it must be a list"),
        ("s3: {", "providers: it is no YAML"),
    ],
)
def test_what_is_wrong_is_named(providers: str, text: str) -> None:
    with pytest.raises(ArtifactStoreError, match=text):
        parse_launcher({"providers": providers})


def test_a_file_says_what_a_config_map_says() -> None:
    text = f"""
defaultPipelineRoot: s3://one/prefix
roots: [gs://two, "minio://three/x"]
providers:
{"".join(f"  {line}" for line in _PROVIDERS.splitlines(keepends=True))}
"""
    config = parse_file(text)
    assert config.buckets == parse_launcher({"providers": _PROVIDERS}).buckets
    assert (config.default_root, config.roots) == ("s3://one/prefix", ("gs://two", "minio://three/x"))
    assert parse_file(json.dumps({"providers": _PROVIDERS})).buckets == config.buckets
    assert parse_file("") == StoreConfig()
    for wrong, message in (("roots: x", "roots"), ("provider: {}", "provider: unknown"), ("[1]", "mapping")):
        with pytest.raises(ArtifactStoreError, match=message):
            parse_file(wrong)


def test_what_a_deployment_says_that_it_holds() -> None:
    text = """
defaultPipelineRoot: minio://pipelines/runs?endpoint=x
roots: [gs://models, file:///srv/models]
providers:
  s3:
    default: {credentials: {fromEnv: true}}
    overrides: [{bucketName: team, keyPrefix: a/, credentials: {fromEnv: true}}]
  az:
    default: {credentials: {fromEnv: true}}
    overrides: [{bucketName: blobs, credentials: {fromEnv: true}}]
"""
    roots = ("minio://pipelines/runs?endpoint=x", "gs://models", "s3://team/a/", "az://blobs/", "abfs://blobs/")
    assert parse_file(text).named_roots() == roots
    assert StoreConfig().named_roots() == ()


def test_an_unknown_scheme_is_told_what_there_is(config: StoreConfig) -> None:
    with pytest.raises(ArtifactStoreError, match=r"http://.*s3, minio, gs"):
        config.settings_for("http://169.254.169.254/latest")


def test_no_client_library_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, penstock_store.router, penstock_store.providers, penstock_store.uris\n"
        "print(sorted({'boto3', 'botocore', 'obstore', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_ROLE = """
s3:
  default:
    region: eu-central-1
    credentials: {fromEnv: true}
    assumeRole:
      roleArn: arn:aws:iam::123456789012:role/tasks
      externalId: ours
      durationSeconds: 900
      outputRoots: [s3://models/shared]
  overrides:
  - {bucketName: own, endpoint: store.example:9000, credentials: {fromEnv: true}}
  - {bucketName: plain, credentials: {fromEnv: true}, assumeRole: null}
"""


def test_a_role_for_agents() -> None:
    config = parse_launcher({"providers": _ROLE})
    role = config.settings_for("s3://any/x").assume_role
    assert role == AssumeRole(
        setting="providers.s3.default.assumeRole",
        role_arn="arn:aws:iam::123456789012:role/tasks",
        external_id="ours",
        duration_seconds=900,
        output_roots=("s3://models/shared",),
    )
    own = config.settings_for("s3://own/x").assume_role
    assert own is not None
    assert own.endpoint == "https://store.example:9000", "a server of one's own gives temporary credentials itself"
    assert config.settings_for("s3://plain/x").assume_role is None
    assert StoreConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("{}", "assumeRole.roleArn: it is required"),
        ("{roleArn: short}", "assumeRole.roleArn: it is required, and has between 20"),
        ("{roleArn: ARN, durationSeconds: 10}", "durationSeconds: it must be a number of seconds from 900 to 43200"),
        ("{roleArn: ARN, durationSeconds: true}", "durationSeconds: it must be a number"),
        ("{roleArn: ARN, outputRoots: s3://x/y}", "outputRoots: it must be a list"),
        ("{roleArn: ARN, outputRoots: ['s3://x/y', 's3://x']}", r"outputRoots\[1\]: it must be a URI s3://bucket"),
        ("{roleArn: ARN, outputRoots: ['gs://x/y']}", r"outputRoots\[0\]: it must be a URI s3://bucket"),
        ("{roleArn: ARN, policy: x}", "assumeRole.policy: unknown"),
        ("[]", "assumeRole: it must be a mapping"),
    ],
)
def test_a_role_that_cannot_be(role: str, message: str) -> None:
    text = role.replace("ARN", "'arn:aws:iam::123456789012:role/tasks'")
    with pytest.raises(ArtifactStoreError, match=message):
        parse_launcher({"providers": f"s3: {{default: {{credentials: {{fromEnv: true}}, assumeRole: {text}}}}}"})


def test_other_providers_have_no_role() -> None:
    text = "gs: {default: {credentials: {fromEnv: true}, assumeRole: {}}}"
    with pytest.raises(ArtifactStoreError, match=r"providers.gs.default.assumeRole: unknown"):
        parse_launcher({"providers": text})
