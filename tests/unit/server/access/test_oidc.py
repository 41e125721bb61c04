"""Callers by tokens of an issuer: what is accepted, what hostile ones come to, an issuer that rotates or is away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_server.access.credentials import Credentials
from penstock_server.access.id_tokens import MAX_TOKEN, TokenVerifier, is_from
from penstock_server.access.issuer import (
    MAX_WAITING,
    PAUSE_SECONDS,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    Issuer,
    _endpoints,
)
from penstock_server.access.issuer_http import IssuerError, get_json
from penstock_server.access.oidc import ClaimSettings, OidcAuthenticator
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError, UnavailableError
from penstock_server.services.kept import Kept

from tools.testing import runs
from tools.testing.oidc_issuer import CLIENT, OidcIssuer, SigningKey, oidc_issuer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def oidc(issuer: OidcIssuer, clock: Clock) -> OidcAuthenticator:
    return made(issuer, ClaimSettings(), clock)


def made(issuer: OidcIssuer, settings: ClaimSettings, clock: Clock | None = None) -> OidcAuthenticator:
    clock = clock or Clock()
    known = Issuer(issuer.url, clock, clock.sleep)
    return OidcAuthenticator(known, TokenVerifier(known, [CLIENT, "other-client"]), settings)


def bearer(token: str) -> Credentials:
    return Credentials({"authorization": (f"Bearer {token}",)})


def base64url(document: Any) -> str:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_token_names_its_user(issuer: OidcIssuer, oidc: OidcAuthenticator, algorithm: str) -> None:
    issuer.keys = [SigningKey("some", algorithm)]
    assert oidc.authenticate(bearer(issuer.token())) == Caller("alice@example.com", ("team-a",), Source.OIDC)


def test_keys_are_asked_for_once(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    for _ in range(3):
        assert oidc.authenticate(bearer(issuer.token()))
    assert issuer.requests["/keys"] == 1


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b.c", "pst_x_y", "e30.e30.", f"{base64url({'alg': 'none'})}.{base64url([])}.", "x" * 20_000],
)
def test_what_is_no_token_of_the_issuer_is_for_others(oidc: OidcAuthenticator, token: str) -> None:
    assert oidc.authenticate(bearer(token)) is None


def test_a_token_of_another_issuer_is_for_others(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    assert oidc.authenticate(bearer(issuer.token({"iss": issuer.url + "/"}))) is None
    assert oidc.authenticate(bearer(issuer.token({"iss": None}))) is None
    assert not issuer.requests


# Of when this is imported, which may be long before a test runs: times are a day away.
NOW = int(time.time())


def _told(claims: object) -> str:
    """Names a case the same in every process: times are told by their distance from now."""
    return re.sub(r"\d{9,}", lambda found: f"now{int(found.group()) - NOW:+d}", str(claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody-else"},
        {"aud": ["somebody-else", CLIENT + "x"]},
        {"aud": None},
        {"aud": []},
        {"aud": {CLIENT: 1}},
        {"exp": NOW - 120},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": [NOW + 86_400]},
        {"nbf": NOW + 86_400},
        {"nbf": "x"},
        {"iat": NOW + 86_400},
        {"iat": None},
        {"sub": None},
        {"sub": 7},
        {"email": None},
        {"email": ""},
        {"email": ["alice@example.com"]},
        {"email": "a" * 300},
        {"email": "alice\n@example.com"},
        {"email": "system:serviceaccount:kubeflow:ml-pipeline"},
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": 2},
        {"groups": ["system:masters"]},
        {"groups": [7]},
        {"groups": {"team-a": True}},
        {"groups": ["a\x00"]},
        {"groups": list(map(str, range(501)))},
    ],
    ids=_told,
)
def test_a_token_that_says_the_wrong_thing(issuer: OidcIssuer, oidc: OidcAuthenticator, claims: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        oidc.authenticate(bearer(issuer.token(claims)))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["somebody-else", "other-client"]},
        {"email_verified": "true"},
    ],
    ids=str,
)
def test_other_forms_of_claims(issuer: OidcIssuer, oidc: OidcAuthenticator, claims: dict[str, Any]) -> None:
    assert oidc.authenticate(bearer(issuer.token(claims)))


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -30), ("iat", 30), ("nbf", 30)])
def test_clocks_may_differ_by_a_minute(issuer: OidcIssuer, oidc: OidcAuthenticator, claim: str, seconds: int) -> None:
    assert oidc.authenticate(bearer(issuer.token({claim: int(time.time()) + seconds})))


@pytest.mark.parametrize(
    ("claims", "groups"),
    [({"groups": None}, ()), ({"groups": "one"}, ("one",)), ({"groups": ["b", "a", "b"]}, ("b", "a"))],
)
def test_groups(issuer: OidcIssuer, oidc: OidcAuthenticator, claims: dict[str, Any], groups: tuple[str, ...]) -> None:
    caller = oidc.authenticate(bearer(issuer.token(claims)))
    assert caller is not None and caller.groups == groups


def test_other_claims_and_a_prefix(issuer: OidcIssuer) -> None:
    oidc = made(issuer, ClaimSettings("preferred_username", "roles", "oidc:"))
    token = issuer.token({"email": None, "preferred_username": "system:admin", "roles": ["team-a"]})
    assert oidc.authenticate(bearer(token)) == Caller("oidc:system:admin", ("oidc:team-a",), Source.OIDC)


def test_an_address_that_is_not_verified_when_it_is_allowed(issuer: OidcIssuer) -> None:
    oidc = made(issuer, ClaimSettings(allow_unverified_email=True))
    assert oidc.authenticate(bearer(issuer.token({"email_verified": None})))


def refused(oidc: OidcAuthenticator, token: str) -> str:
    with pytest.raises(UnauthenticatedError) as error:
        oidc.authenticate(bearer(token))
    return error.value.message


def test_no_signature(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    claims = issuer.token().split(".")[1]
    for name in ("none", "None", "NONE", "", "nOnE"):
        assert "not signed by one of" in refused(oidc, f"{base64url({'alg': name})}.{claims}.")
    header, claims, _ = issuer.token().split(".")
    assert "signature" in refused(oidc, f"{header}.{claims}.")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(issuer: OidcIssuer, oidc: OidcAuthenticator, algorithm: str) -> None:
    public = issuer.keys[0].private.public_key()
    claims = issuer.token().split(".")[1]
    body = f"{base64url({'alg': algorithm, 'kid': 'first', 'typ': 'JWT'})}.{claims}"
    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
        for encoding in (Encoding.PEM, Encoding.DER):
            secret = public.public_bytes(encoding, form)
            mac = hmac.new(secret, body.encode(), getattr(hashlib, "sha" + algorithm[2:])).digest()
            assert "not signed by one of" in refused(oidc, f"{body}.{base64url(mac)}")


def test_a_secret_among_the_keys_of_the_issuer_is_none(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    issuer.extra_keys = [{"kty": "oct", "k": base64url(b"0" * 32), "kid": "secret", "alg": "HS256"}]
    claims = json.loads(base64.urlsafe_b64decode(issuer.token().split(".")[1] + "=="))
    refused(oidc, jwt.encode(claims, b"0" * 32, "HS256", {"kid": "secret"}))
    assert oidc.authenticate(bearer(issuer.token()))


@pytest.mark.parametrize(
    "kid",
    ["../../../../dev/null", "/dev/null", "file:///dev/null", "' UNION SELECT 'x", "http://127.0.0.1/keys", "", "\x00"],
)
def test_a_key_id_is_a_name_and_no_path(issuer: OidcIssuer, oidc: OidcAuthenticator, kid: str) -> None:
    forged = SigningKey(kid, number=1)
    assert "key" in refused(oidc, issuer.token(key=forged)) or not kid


def test_headers_that_bring_a_key_along_are_not_read(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    forged = SigningKey("forged", number=1)
    with oidc_issuer() as other:
        other.keys = [forged]
        for header in ({"jku": f"{other.url}/keys"}, {"x5u": f"{other.url}/keys"}, {"jwk": forged.jwk()}):
            refused(oidc, issuer.token(key=forged, **header))
            forged_as_first = SigningKey("first", number=1)
            assert "signature" in refused(oidc, issuer.token(key=forged_as_first, **header))
        assert not other.requests


@pytest.mark.parametrize("kid", [7, None, ["first"], {"a": 1}])
def test_a_key_id_of_another_type(issuer: OidcIssuer, oidc: OidcAuthenticator, kid: Any) -> None:
    token = f"{base64url({'alg': 'RS256', 'kid': kid})}.{issuer.token().split('.')[1]}.{base64url(b'x')}"
    try:
        caller = oidc.authenticate(bearer(token))
    except UnauthenticatedError:
        caller = None
    assert caller is None


def test_an_algorithm_that_is_not_the_keys(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    issuer.keys = [SigningKey("first"), SigningKey("second", "ES256")]
    claims = json.loads(base64.urlsafe_b64decode(issuer.token().split(".")[1] + "=="))
    refused(oidc, jwt.encode(claims, issuer.keys[0].private, "PS256", {"kid": "first"}))
    refused(oidc, jwt.encode(claims, issuer.keys[0].private, "RS256", {"kid": "second"}))


def test_other_kinds_of_tokens(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    for kind in ("logout+jwt", "dpop+jwt", "secevent+jwt"):
        assert "header" in refused(oidc, issuer.token(typ=kind))
    assert oidc.authenticate(bearer(issuer.token(typ="at+jwt")))


def test_unknown_critical_extensions(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    try:
        caller = oidc.authenticate(bearer(issuer.token(crit=["x"], x=1)))
    except UnauthenticatedError:
        caller = None
    assert caller is None


def test_a_token_is_bounded(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    large = issuer.token({"padding": "x" * MAX_TOKEN})
    assert oidc.authenticate(bearer(large)) is None
    nested = f"{base64url({'alg': 'RS256'})}.{base64url(b'[' * 9000)}.x"
    assert len(nested) < MAX_TOKEN and oidc.authenticate(bearer(nested)) is None


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_is_an_internal_error(text: str) -> None:
    assert is_from(text, "https://issuer.example.com") is False


_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["RS256", "none"])
_NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"])


@settings(deadline=None)
@given(header=st.dictionaries(_NAMES, st.recursive(_VALUES, st.lists, max_leaves=3)))
def test_no_header_is_an_internal_error(header: dict[str, Any]) -> None:
    verifier = TokenVerifier(_NOBODY, ["x"])
    with pytest.raises((UnauthenticatedError, UnavailableError)):
        verifier.verify(f"{base64url(header)}.{base64url({'iss': _NOBODY.url})}.{base64url(b'x')}")


# Nothing listens on it.
_NOBODY = Issuer("http://127.0.0.1:1/issuer")


def test_a_new_key_is_never_refused_and_one_that_was_taken_back_is(
    issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock
) -> None:
    """Also of keys that come one after the other, and however short the time since the issuer was asked."""
    for pause in (0.001, PAUSE_SECONDS / 2, 2.0, 0.001):
        old = issuer.token()
        assert oidc.authenticate(bearer(old))
        issuer.rotate(keep=0)
        clock.now += pause
        assert oidc.authenticate(bearer(issuer.token()))
        asked = clock.now
        clock.now += pause
        assert "key" in refused(oidc, old)
        assert clock.now >= asked + PAUSE_SECONDS


@pytest.mark.parametrize("every", [0.3, 2.0, 60.0])
def test_the_issuer_is_asked_once_for_each_new_key_and_once_a_second_at_most(
    issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock, every: float
) -> None:
    """A call every tenth of a second by the newest key, while the one before stays among the keys."""
    began, rotations = clock.now, 0
    for _ in range(100):
        clock.now += 0.1
        if clock.now - began >= (rotations + 1) * every:
            issuer.rotate(keep=1)
            rotations += 1
        assert oidc.authenticate(bearer(issuer.token()))
    assert issuer.requests["/keys"] <= 1 + min(rotations, (clock.now - began) / PAUSE_SECONDS)


def test_a_key_that_was_taken_back_is_refused_in_the_end(
    issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock
) -> None:
    old = issuer.token()
    assert oidc.authenticate(bearer(old))
    issuer.keys = [SigningKey("second", number=1)]
    clock.now += REFRESH_SECONDS
    refused(oidc, old)


@dataclass
class Counting:
    """Verifies, and counts how often."""

    verifier: TokenVerifier
    count: int = 0

    def verify(self, token: str) -> dict[str, Any]:
        self.count += 1
        return self.verifier.verify(token)


def test_a_token_is_verified_once_until_its_end(issuer: OidcIssuer, clock: Clock) -> None:
    known, day = Issuer(issuer.url, clock), Clock()
    verifier = Counting(TokenVerifier(known, [CLIENT]))
    oidc = OidcAuthenticator(known, cast(TokenVerifier, verifier), ClaimSettings(), day)
    oidc._verified = Kept(10, 5.0, clock)
    # The first token is verified again when the issuer's keys, which were asked for it, are known.
    assert oidc.authenticate(bearer(issuer.token()))
    end = int(time.time()) + 86_400
    token, other = issuer.token({"exp": end}), issuer.token({"exp": end, "email": "bob@example.com"})
    verifier.count, day.now = 0, end - 1.0
    for _ in range(3):
        assert oidc.authenticate(bearer(token)) == Caller("alice@example.com", ("team-a",), Source.OIDC)
        assert oidc.authenticate(bearer(other)) == Caller("bob@example.com", ("team-a",), Source.OIDC)
    assert verifier.count == 2
    day.now = end + 59.9
    oidc.authenticate(bearer(token))
    assert verifier.count == 2
    day.now = end + 60.0
    oidc.authenticate(bearer(token))
    assert verifier.count == 3
    day.now, clock.now = end - 1.0, clock.now + 5.0
    oidc.authenticate(bearer(token))
    assert verifier.count == 4


def test_a_refusal_is_not_kept(issuer: OidcIssuer, clock: Clock) -> None:
    known = Issuer(issuer.url, clock)
    verifier = Counting(TokenVerifier(known, [CLIENT]))
    oidc = OidcAuthenticator(known, cast(TokenVerifier, verifier), ClaimSettings())
    for _ in range(2):
        refused(oidc, issuer.token({"aud": "somebody-else"}))
        refused(oidc, issuer.token({"email_verified": False}))
    assert verifier.count == 4


def test_strangers_make_the_server_ask_once_a_second_at_most(
    issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock
) -> None:
    assert oidc.authenticate(bearer(issuer.token()))
    began = clock.now
    for number in range(20):
        clock.now += 0.001
        refused(oidc, issuer.token(key=SigningKey(f"unknown-{number}", number=1)))
    assert issuer.requests["/keys"] <= 1 + (clock.now - began) / PAUSE_SECONDS
    issuer.rotate(keep=0)
    clock.now += 0.001
    assert oidc.authenticate(bearer(issuer.token()))


def test_strangers_at_the_same_time_share_an_answer_and_hold_few_threads(issuer: OidcIssuer) -> None:
    """The one that asks stands in the pause between two questions until as many wait as may."""
    clock, paused, go_on = Clock(), threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        paused.set()
        assert go_on.wait(60)
        clock.sleep(seconds)

    known = Issuer(issuer.url, clock, pause)
    oidc = OidcAuthenticator(known, TokenVerifier(known, [CLIENT]), ClaimSettings())
    assert oidc.authenticate(bearer(issuer.token()))
    clock.now += 0.001
    issuer.rotate(keep=1)
    fresh, strange = bearer(issuer.token()), bearer(issuer.token(key=SigningKey("unknown", number=1)))
    with ThreadPoolExecutor(MAX_WAITING + 1) as callers:
        asking = callers.submit(oidc.authenticate, fresh)
        assert paused.wait(60)
        others = [callers.submit(oidc.authenticate, strange) for _ in range(MAX_WAITING)]
        one = next(as_completed(others))
        assert isinstance(one.exception(), UnavailableError) and "many tokens wait" in str(one.exception())
        # Whose key is known waits for nobody.
        assert oidc.authenticate(bearer(issuer.token(key=issuer.keys[1])))
        go_on.set()
        assert asking.result() is not None
        others.remove(one)
        assert {type(other.exception()) for other in others} == {UnauthenticatedError}
    assert issuer.requests["/keys"] == 2


def test_a_call_during_the_question_that_brings_its_key_asks_no_more(
    issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    known = Issuer(issuer.url, clock, clock.sleep)
    oidc = OidcAuthenticator(known, TokenVerifier(known, [CLIENT]), ClaimSettings())
    assert oidc.authenticate(bearer(issuer.token()))
    issuer.rotate(keep=0)
    clock.now += 60
    began, fresh = clock.now, bearer(issuer.token())
    second: list[Future[Caller | None]] = []

    def slow(url: str) -> dict[str, Any]:
        answer = get_json(url)
        if url.endswith("/keys") and not second:
            clock.now += 0.001
            second.append(callers.submit(oidc.authenticate, fresh))
            runs.until(lambda: known._waiting._value, lambda free: free == MAX_WAITING - 2)
        return answer

    monkeypatch.setattr("penstock_server.access.issuer.get_json", slow)
    with ThreadPoolExecutor(1) as callers:
        assert oidc.authenticate(fresh)
        assert second[0].result() is not None
    assert clock.now < began + PAUSE_SECONDS
    assert issuer.requests["/keys"] == 2


def test_known_keys_stay_good_while_the_issuer_is_away(
    issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock
) -> None:
    assert oidc.authenticate(bearer(issuer.token()))
    issuer.away = True
    clock.now += REFRESH_SECONDS * 10
    assert oidc.authenticate(bearer(issuer.token()))
    with pytest.raises(UnavailableError):
        oidc.authenticate(bearer(issuer.token(key=SigningKey("new", number=1))))
    issuer.away = False
    issuer.keys = [SigningKey("new", number=1)]
    clock.now += RETRY_SECONDS
    assert oidc.authenticate(bearer(issuer.token()))


def test_an_issuer_that_never_answered(issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock) -> None:
    issuer.away = True
    for _ in range(3):
        with pytest.raises(UnavailableError):
            oidc.authenticate(bearer(issuer.token()))
    assert issuer.requests["/.well-known/openid-configuration"] == 1
    issuer.away = False
    clock.now += RETRY_SECONDS
    assert oidc.authenticate(bearer(issuer.token()))


def test_an_issuer_that_is_away_is_asked_less_and_less_often(
    issuer: OidcIssuer, oidc: OidcAuthenticator, clock: Clock
) -> None:
    assert oidc.authenticate(bearer(issuer.token()))
    issuer.away = True
    fresh = bearer(issuer.token(key=SigningKey("new", number=1)))
    asked_at = []
    for _ in range(600):
        clock.now += 0.1
        before = issuer.requests["/.well-known/openid-configuration"]
        with pytest.raises(UnavailableError):
            oidc.authenticate(fresh)
        if issuer.requests["/.well-known/openid-configuration"] > before:
            asked_at.append(clock.now)
    pauses = [round(after - before) for before, after in pairwise(asked_at)]
    assert pauses == [2, 4, 8, *[round(RETRY_SECONDS)] * (len(pauses) - 3)]


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
        {"jwks_uri": "http://user@127.0.0.1/keys"},
    ],
    ids=_told,
)
def test_a_document_that_is_not_the_issuers(
    issuer: OidcIssuer, oidc: OidcAuthenticator, discovery: dict[str, Any]
) -> None:
    issuer.discovery = discovery
    with pytest.raises(UnavailableError):
        oidc.authenticate(bearer(issuer.token()))
    assert not issuer.requests["/keys"]


def test_keys_that_verify_nothing_are_left_out(issuer: OidcIssuer, oidc: OidcAuthenticator) -> None:
    issuer.extra_keys = [
        {**issuer.keys[0].jwk(), "kid": "for-encryption", "use": "enc"},
        {"kty": "RSA", "kid": "small", "n": base64url(b"\xff" * 64), "e": "AQAB"},
        {"kty": "RSA", "kid": "broken"},
        {"kty": "EC", "kid": "odd", "crv": "secp256k1", "x": "AA", "y": "AA"},
    ]
    assert oidc.authenticate(bearer(issuer.token()))
    refused(oidc, issuer.token(key=SigningKey("for-encryption")))


@pytest.mark.parametrize(
    "url", ["", "accounts.example.com", "ftp://x", "https://x?a=b", "https://u:p@x", "https://x y"]
)
def test_what_is_no_issuer(url: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        Issuer(url)


def test_an_issuer_by_tls_has_no_endpoints_without() -> None:
    with pytest.raises(IssuerError):
        _endpoints({"issuer": "https://x", "jwks_uri": "http://x/keys"}, "https://x")


def test_without_an_audience_any_program_would_do() -> None:
    with pytest.raises(ValueError, match="audience"):
        TokenVerifier(_NOBODY, [])
