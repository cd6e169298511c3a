"""Key sets: which are fit, how they are read again, and what happens while they cannot be."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.core.errors import Unauthenticated, Unavailable
from gateway.identity.development import URL as DEVELOPMENT
from gateway.identity.development import development_issuer, mint
from gateway.identity.jwt import JwtAuthenticator
from gateway.identity.keys import UnfitKeys, read_keys
from gateway.settings import Issuer
from tests.gateway.identity.tokens import EC, NOW, OTHER_EC, RSA, URL, Clock, ask, public, token

ALL = ("ES256", "RS256", "PS256", "EdDSA")


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


OCT = {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"}
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
UNFIT: dict[str, bytes] = {
    "11 RSA of 1024 bits": key_set(public(SHORT, "rsa")),
    "12 exponent one": key_set(public(RSA, "rsa") | {"e": "AQ"}),
    "18 the same id twice": key_set(public(EC, "ec"), public(OTHER_EC, "ec")),
    "19 a symmetric key among them": key_set(public(EC, "ec"), OCT),
    "a private key": key_set(public(EC, "ec") | {"d": "AAAA"}),
    "no id": key_set({k: v for k, v in public(EC, "ec").items() if k != "kid"}),
    "not JSON": b"<html>",
    "not a set": b"[]",
    "a curve that nobody asked for": key_set(public(ec.generate_private_key(ec.SECP521R1()), "ec")),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_set_with_one_bad_member_is_refused_whole(name: str) -> None:
    """Somebody does not know what they are publishing."""
    with pytest.raises(UnfitKeys):
        read_keys(UNFIT[name], ALL)


def test_keys_for_something_else_are_left_out() -> None:
    """20: an encryption key beside signing keys is usual, and signs nothing."""
    text = key_set(public(EC, "ec"), public(RSA, "enc", use="enc"), public(OTHER_EC, "ops", key_ops=["sign"]))

    assert set(read_keys(text, ALL)) == {"ec"}


class Provider:
    """An identity provider whose answers can be changed, and whose calls are counted."""

    def __init__(self, server: HTTPServer) -> None:
        self.keys, self.status, self.calls = key_set(public(EC, "ec")), 200, 0
        server.expect_request("/jwks").respond_with_handler(self._answer)
        self.issuer = Issuer(url=URL, keys=server.url_for("/jwks"))

    def _answer(self, _: Request) -> Response:
        self.calls += 1
        return Response(self.keys, self.status)


async def test_an_unknown_id_fetches_at_most_once_a_pause(httpserver: HTTPServer) -> None:
    """21: a thousand made-up ids are no way to have us call our provider a thousand times; known ids go on."""
    provider, monotonic = Provider(httpserver), Clock(100.0)
    async with JwtAuthenticator([provider.issuer], clock=Clock(NOW), monotonic=monotonic) as authenticator:
        monotonic.at += 20
        for number in range(50):
            with pytest.raises(Unauthenticated):
                await ask(authenticator, token(header={"kid": f"made-up-{number}"}))
        assert (await ask(authenticator, token())).subject == "alice"
    assert provider.calls == 2


async def test_a_revoked_key_is_out_within_its_time(httpserver: HTTPServer) -> None:
    """22: the token was cached; it dies with its key."""
    provider, monotonic = Provider(httpserver), Clock(100.0)
    async with JwtAuthenticator([provider.issuer], clock=Clock(NOW), monotonic=monotonic) as authenticator:
        assert (await ask(authenticator, token())).subject == "alice"
        provider.keys = key_set(public(OTHER_EC, "new"))
        monotonic.at += provider.issuer.keys_fresh_seconds + 1
        for _ in range(100):
            try:
                await ask(authenticator, token())
            except Unauthenticated:
                break
            await asyncio.sleep(0.01)  # the reading goes on beside
        with pytest.raises(Unauthenticated):
            await ask(authenticator, token())
        assert (await ask(authenticator, token(OTHER_EC, header={"kid": "new"}))).subject == "alice"


async def test_an_outage_of_the_provider_is_not_ours_until_its_keys_are_stale(httpserver: HTTPServer) -> None:
    """23: 200 with cached keys, then 503 and not 401."""
    provider, monotonic = Provider(httpserver), Clock(100.0)
    async with JwtAuthenticator([provider.issuer], clock=Clock(NOW), monotonic=monotonic) as authenticator:
        provider.status = 500
        monotonic.at += 3_000
        assert (await ask(authenticator, token())).subject == "alice"
        monotonic.at += 1_000
        with pytest.raises(Unavailable):
            await ask(authenticator, token())


async def test_a_development_token_counts_only_where_it_was_asked_for(tmp_path: Path) -> None:
    """It works only against a gateway that was started for it."""
    known = development_issuer(tmp_path / "development")
    presented = mint(tmp_path / "development", subject="dev", tenant="demo", scopes=("workflows:submit",)).encode()

    async with JwtAuthenticator([known]) as authenticator:
        assert (await ask(authenticator, presented)).issuer == DEVELOPMENT
    async with JwtAuthenticator([]) as authenticator:
        with pytest.raises(Unauthenticated):
            await ask(authenticator, presented)
    assert (tmp_path / "development" / "key.pem").stat().st_mode & 0o077 == 0
