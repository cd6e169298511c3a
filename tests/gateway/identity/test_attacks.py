"""Tests attacks on authentication: each ends in 401 without a reason."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError, HeadersTooLarge, Malformed, Unauthenticated
from gateway.identity.interface import RequestCredentials
from gateway.identity.jws_parsing import TokenRejected, parse_jws
from gateway.identity.jwt_verification import JwtAuthenticator
from tests.gateway.identity.tokens import (
    EC,
    NOW,
    OTHER_EC,
    OTHER_URL,
    RSA,
    URL,
    Clock,
    ask,
    b64,
    claims,
    issuer,
    public,
    raw,
    token,
)

PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
async def authenticator(tmp_path: Path) -> AsyncIterator[JwtAuthenticator]:
    issuers = [issuer(tmp_path), issuer(tmp_path, OTHER_URL, keys=[public(OTHER_EC, "ec")])]
    async with JwtAuthenticator(issuers, clock=Clock(NOW), monotonic=Clock(0.0)) as authenticator:
        yield authenticator


def hs256(key: bytes) -> bytes:
    """Returns an HS256 token signed by hand, since PyJWT refuses to sign with a PEM key."""
    signing = b".".join(
        [
            b64(json.dumps({"alg": "HS256", "kid": "rsa", "typ": "at+jwt"}).encode()),
            b64(json.dumps(claims()).encode()),
        ]
    )
    return (
        signing
        + b"."
        + b64(jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signing, key))
    )


def es256(
    changes: dict[str, Any], head: dict[str, Any] | None = None, *, payload: bytes | None = None
) -> bytes:
    """Returns an ES256 token with a valid signature over a header and payload that no library would write."""
    header = {"alg": "ES256", "kid": "ec", "typ": "at+jwt"} | (head or {})
    body = payload if payload is not None else json.dumps(claims(**changes)).encode()
    signing = b".".join([b64(json.dumps(header).encode()), b64(body)])
    return (
        signing
        + b"."
        + b64(jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256, ec.SECP256R1).sign(signing, EC))
    )


def spelled(text: str) -> bytes:
    return es256({}, payload=json.dumps(claims()).encode().replace(b'"sub": "alice"', text.encode()))


GOOD_HEAD = {"alg": "ES256", "kid": "ec", "typ": "at+jwt"}
ATTACKS: dict[str, bytes] = {
    "01 alg none": raw({**GOOD_HEAD, "alg": "none"}, signature=b""),
    "01 alg nOnE": raw({**GOOD_HEAD, "alg": "nOnE"}),
    "01 alg empty": raw({**GOOD_HEAD, "alg": ""}),
    "01 alg missing": raw({"kid": "ec", "typ": "at+jwt"}),
    "02 null signature": raw(GOOD_HEAD, signature=b"\0" * 64),
    "03 blank HMAC key": hs256(b""),
    "04 HMAC by the RSA PEM": hs256(PEM),
    "04 HMAC by the JWK text": hs256(json.dumps(public(RSA, "rsa")).encode()),
    "05 issuer A's key under issuer B": token(EC, iss=OTHER_URL),
    "06 wrong algorithm for the key": token(RSA, "RS512", header={"kid": "rsa"}),
    "07 r and s zero": raw(GOOD_HEAD, signature=bytes(64)),
    "08 DER signature": raw(GOOD_HEAD, signature=bytes.fromhex("3006020101020101") + bytes(56)),
    "09 r, s beyond n": raw(GOOD_HEAD, signature=b"\xff" * 64),
    "10 wrong curve": token(ec.generate_private_key(ec.SECP384R1()), "ES384"),
    "14 jwk in the header": es256({}, {"jwk": public(EC, "ec")}),
    "15 jku": es256({}, {"jku": "http://127.0.0.1:1/keys"}),
    "15 x5u": es256({}, {"x5u": "file:///etc/passwd"}),
    "16 x5c": es256({}, {"x5c": ["MIIB"]}),
    "17 kid a path": es256({}, {"kid": "../../dev/null"}),
    "17 kid with NUL": es256({}, {"kid": "ec\0"}),
    "17 kid long": es256({}, {"kid": "e" * 3000}),
    "17 kid a number": es256({}, {"kid": 1}),
    "17 kid null": es256({}, {"kid": None}),
    "24 crit unknown": es256({}, {"crit": ["x"]}),
    "24 crit empty": es256({}, {"crit": []}),
    "24 b64 false": es256({}, {"b64": False}),
    "25 duplicate claim": spelled('"sub": "alice", "sub": "root"'),
    "26 zip": es256({}, {"zip": "DEF"}),
    "27 four segments": token() + b".x",
    "27 five segments (JWE)": token() + b".x.y",
    "27 padded": token() + b"=",
    "27 standard base64": token()[:-1] + b"+",
    "27 white space": token()[:20] + b" " + token()[20:],
    "29 deep": es256({}, payload=b'{"a":' * 200 + b"1" + b"}" * 200),
    "29 huge integer": spelled('"sub": "alice", "n": ' + "9" * 5000),
    "29 NaN": spelled('"sub": "alice", "n": NaN'),
    "29 Infinity": spelled('"sub": "alice", "n": Infinity'),
    "30 exp missing": es256({"exp": ...}),
    "30 exp a string": es256({"exp": str(NOW + 10)}),
    "30 exp a float": es256({"exp": NOW + 10.5}),
    "30 exp a boolean": es256({"exp": True}),
    "30 exp null": es256({"exp": None}),
    "30 exp past": es256({"exp": NOW - 1, "iat": NOW - 20}),
    "30 exp now": es256({"exp": NOW}),
    "31 lives too long": es256({"exp": NOW + 86_401}),
    "32 nbf ahead": es256({"nbf": NOW + 61}),
    "32 iat ahead": es256({"iat": NOW + 61}),
    "33 aud missing": es256({"aud": ...}),
    "33 aud wrong": es256({"aud": "other"}),
    "33 aud a prefix": es256({"aud": "waypos"}),
    "33 aud empty list": es256({"aud": []}),
    "33 aud with others": es256({"aud": ["waypost", "other"]}),
    "34 iss a list": es256({"iss": [URL]}),
    "34 iss with a slash": es256({"iss": URL + "/"}),
    "34 iss in capitals": es256({"iss": URL.upper()}),
    "35 ID token by typ": es256({}, {"typ": "JWT"}),
    "35 ID token by nonce": es256({"nonce": "n"}),
    "35 ID token by c_hash": es256({"c_hash": "x"}),
    "35 ID token by at_hash": es256({"at_hash": "x"}),
    "35 ID token by s_hash": es256({"s_hash": "x"}),
    "35 ID token by token_use": es256({"token_use": "id"}),
    "35 refresh token by token_use": es256({"token_use": "refresh"}),
    "35 ID token by a claim typ": es256({"typ": "id"}),
    "35 ID token by a claim typ in capitals": es256({"typ": "ID"}),
    "35 refresh token by a claim typ": es256({"typ": "Refresh"}),
    "35 a claim typ that is no word": es256({"typ": ["ID"]}),
    "36 client_id missing": es256({"client_id": ...}),
    "36 jti missing": es256({"jti": ...}),
    "36 sub missing": es256({"sub": ...}),
    "36 iat missing": es256({"iat": ...}),
    "37 bound to a certificate that is not shown": es256({"cnf": {"x5t#S256": "abc"}}),
    "38 bound to a DPoP key": es256({"cnf": {"jkt": "abc"}}),
    "39 scope nested": es256({"scope": [["workflows:submit"]]}),
    "39 scope list with two in one": es256({"scope": ["workflows:submit workflows:read"]}),
    "40 byte order mark": es256({}, payload=b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
    "40 UTF-16": es256({}, payload=json.dumps(claims()).encode("utf-16")),
    "40 lone surrogate": spelled('"sub": "\\ud800"'),
    "40 NUL in sub": es256({"sub": "a\0b"}),
    "tenant missing": es256({"tenant": ...}),
    "signature of another token": token()[: token().rfind(b".")] + b"." + token(sub="bob").rsplit(b".", 1)[1],
    "no token at all": b"",
}


async def test_a_good_token_says_who_it_is(authenticator: JwtAuthenticator) -> None:
    """The refusals below prove something only if a good token is accepted."""
    found = await ask(authenticator, token())

    assert (found.subject, found.tenant, found.scopes) == (
        "alice",
        "demo",
        ("workflows:submit", "workflows:read"),
    )
    assert (await ask(authenticator, token(RSA, "PS256", header={"kid": "rsa"}))).subject == "alice"
    assert (await ask(authenticator, es256({"scope": ["a", "b"], "aud": ["waypost"]}))).scopes == ("a", "b")


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_without_a_word(authenticator: JwtAuthenticator, name: str) -> None:
    """All attacks get the same response, and the logged cause contains nothing of the token."""
    with pytest.raises(Unauthenticated) as refused:
        await ask(authenticator, ATTACKS[name])

    assert refused.value.detail == "no acceptable token"
    assert len(str(refused.value.__cause__)) < 40


async def test_only_a_space_parts_scopes(authenticator: JwtAuthenticator) -> None:
    """39: a tab or a no-break space is part of the word, which then matches no scope."""
    found = await ask(authenticator, es256({"scope": "xread:a\tread:b read:c\u00a0read:d"}))

    assert found.scopes == ("xread:a\tread:b", "read:c\u00a0read:d")


async def test_a_large_header_is_431_before_it_is_decoded(authenticator: JwtAuthenticator) -> None:
    with pytest.raises(HeadersTooLarge):
        await ask(authenticator, b"a" * 9000)


async def test_a_certificate_that_is_shown_fits(authenticator: JwtAuthenticator) -> None:
    """37: a bound token is accepted with its certificate only, also when the token is cached."""
    bound = es256({"cnf": {"x5t#S256": "abc"}})

    assert (await ask(authenticator, bound, certificate_sha256="abc")).subject == "alice"
    with pytest.raises(Unauthenticated):
        await ask(authenticator, bound, certificate_sha256="other")


@pytest.mark.parametrize(
    "credentials",
    [
        RequestCredentials(authorization=(b"Bearer a", b"Bearer b")),
        RequestCredentials(authorization=(), in_query_or_cookie=True),
    ],
)
async def test_two_tokens_are_malformed(
    authenticator: JwtAuthenticator, credentials: RequestCredentials
) -> None:
    """41: who sends two may want one to be checked and the other to be used."""
    with pytest.raises(Malformed):
        await authenticator.authenticate(credentials)


@pytest.mark.parametrize(
    ("scheme", "good"),
    [(b"Bearer ", True), (b"bEARER ", True), (b"Bearer  ", False), (b"DPoP ", False), (b"Basic ", False)],
)
async def test_the_scheme_is_bearer_in_any_case_and_one_space(
    authenticator: JwtAuthenticator, scheme: bytes, good: bool
) -> None:
    """42: RFC 6750 and RFC 9110."""
    presented = RequestCredentials(authorization=(scheme + token(),))
    if good:
        assert (await authenticator.authenticate(presented)).subject == "alice"
    else:
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(presented)


@given(
    st.binary(max_size=300)
    | st.lists(st.binary(max_size=60).map(base64.urlsafe_b64encode), min_size=3, max_size=3).map(b".".join)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_are_refused_in_good_order(authenticator: JwtAuthenticator, presented: bytes) -> None:
    """Any input ends in 401 or 431, never in another exception."""
    with pytest.raises(GatewayError) as refused:
        await ask(authenticator, presented)

    assert refused.value.status in (401, 431)


@pytest.mark.parametrize("number", [b"1e309", b"-1e400", b"[1.5e999]", b"NaN", b"Infinity"])
def test_a_number_beyond_a_double_is_refused(number: bytes) -> None:
    """Readers differ: one takes it for infinity, another refuses it or rounds it."""
    with pytest.raises(TokenRejected, match=r"claims\.number"):
        parse_jws(raw({"alg": "ES256"}, b'{"x": ' + number + b"}"))
