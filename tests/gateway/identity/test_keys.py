"""Key sets: which are fit, how they are read again, and what happens while they cannot be."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from loguru import logger
from msgspec import structs
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.core.errors import Unauthenticated, Unavailable
from gateway.identity import key_set_cache
from gateway.identity.development_issuer import DEVELOPMENT_ISSUER, development_issuer, mint_token
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.identity.key_parsing import InvalidKeySet, parse_key_set
from gateway.settings import Issuer
from tests.gateway.identity.tokens import EC, NOW, OTHER_EC, RSA, URL, Clock, ask, b64, public, token

ALL = ("ES256", "RS256", "PS256", "EdDSA")


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


OCT = {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"}
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
OF_NO_USE = (
    public(ec.generate_private_key(ec.SECP521R1()), "p521"),
    public(ec.generate_private_key(ec.SECP256K1()), "k1"),
    public(RSA, "rs512", alg="RS512"),
    {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "x25519"},
    {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq"},
)
UNFIT: dict[str, bytes] = {
    "11 RSA of 1024 bits": key_set(public(SHORT, "rsa")),
    "12 exponent one": key_set(public(RSA, "rsa") | {"e": "AQ"}),
    "18 the same id twice": key_set(public(EC, "ec"), public(OTHER_EC, "ec")),
    "19 a symmetric key among them": key_set(public(EC, "ec"), OCT),
    "a private key": key_set(public(EC, "ec") | {"d": "AAAA"}),
    "no id": key_set({k: v for k, v in public(EC, "ec").items() if k != "kid"}),
    "not JSON": b"<html>",
    "not a set": b"[]",
    "an even modulus": key_set(
        public(RSA, "rsa") | {"n": b64((RSA.public_key().public_numbers().n + 1).to_bytes(256)).decode()}
    ),
    "RSA of 8200 bits": key_set(public(RSA, "rsa") | {"n": b64((2**8199 + 1).to_bytes(1025)).decode()}),
    "key_ops that is no list": key_set(public(EC, "ec") | {"key_ops": "verify"}),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_set_with_one_bad_member_is_refused_whole(name: str) -> None:
    """Somebody does not know what they are publishing."""
    with pytest.raises(InvalidKeySet):
        parse_key_set(UNFIT[name], ALL)


def test_keys_for_something_else_are_left_out() -> None:
    """20: a provider publishes for all of its clients: encryption keys and kinds that are not used here sign nothing here."""
    text = key_set(
        public(EC, "ec"), public(RSA, "enc", use="enc"), public(OTHER_EC, "ops", key_ops=["sign"]), *OF_NO_USE
    )

    assert set(parse_key_set(text, ALL)) == {"ec"}


class Provider:
    """An identity provider whose answers can be changed, and whose calls are counted."""

    def __init__(self, server: HTTPServer) -> None:
        self.keys, self.status, self.calls, self.headers = key_set(public(EC, "ec")), 200, 0, dict[str, str]()
        server.expect_request("/jwks").respond_with_handler(self._answer)
        self.issuer = Issuer(url=URL, keys=server.url_for("/jwks"))

    def _answer(self, _: Request) -> Response:
        self.calls += 1
        return Response(self.keys, self.status, headers=self.headers)


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


async def test_a_revoked_key_does_not_outlive_its_time_on_an_idle_gateway(httpserver: HTTPServer) -> None:
    """Nobody asked for hours: the first who comes with the old key must not be let in while the set is read beside."""
    provider, monotonic = Provider(httpserver), Clock(100.0)
    async with JwtAuthenticator([provider.issuer], clock=Clock(NOW), monotonic=monotonic) as authenticator:
        assert (await ask(authenticator, token())).subject == "alice"
        provider.keys = key_set(public(OTHER_EC, "new"))
        monotonic.at += 2 * provider.issuer.keys_fresh_seconds
        answers = await asyncio.gather(
            *(ask(authenticator, token(jti=f"{n}")) for n in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [Unauthenticated] * 3
    assert provider.calls == 2


async def test_a_key_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time and the end never does: the reading must not hold the only turn for ever."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dripping.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)
        writer.close()

    dripping: list[asyncio.Task[None] | None] = []
    monkeypatch.setattr(key_set_cache, "TIMEOUT_SECONDS", 0.2)
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    issuer = Issuer(
        url=URL, keys=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks", keys_pause_seconds=0.0
    )
    async with server, asyncio.timeout(10):
        async with JwtAuthenticator([issuer]) as authenticator:
            with pytest.raises(Unavailable):
                await ask(authenticator, token())
        await asyncio.gather(*filter(None, dripping))


async def test_a_compressed_key_set_is_refused(httpserver: HTTPServer) -> None:
    """A few kilobytes can be gigabytes: nothing is unpacked, since nothing packed was asked for."""
    provider = Provider(httpserver)
    provider.keys, provider.headers = gzip.compress(provider.keys), {"content-encoding": "gzip"}
    async with JwtAuthenticator([provider.issuer]) as authenticator:
        with pytest.raises(Unavailable):
            await ask(authenticator, token())


async def test_the_log_does_not_tell_the_address_of_the_keys(httpserver: HTTPServer) -> None:
    """It may hold a secret; what went wrong is told all the same."""
    provider, told = Provider(httpserver), list[str]()
    provider.status = 500
    sink = logger.add(told.append, format="{message}")
    async with JwtAuthenticator(
        [structs.replace(provider.issuer, keys=provider.issuer.keys + "?code=hunter2")]
    ):
        pass
    async with JwtAuthenticator([Issuer(url=URL, keys="http://hunter2@127.0.0.1:1/jwks")]):
        pass
    logger.remove(sink)
    assert ["the answer is 500" in told[0], "ConnectError" in told[1]] == [True, True]
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    ("source", "good"),
    [
        ("https://issuer.test/jwks", True),
        ("http://127.0.0.1:8000/jwks", True),
        ("http://localhost/jwks", True),
        ("http://[::1]/jwks", True),
        ("/etc/waypost/jwks.json", True),
        ("http://issuer.test/jwks", False),
        ("http://localhost.issuer.test/jwks", False),
        ("https://user:hunter2@issuer.test/jwks", False),
        ("https://", False),
        ("ftp://issuer.test/jwks", False),
    ],
)
def test_keys_come_by_https_or_from_this_machine(source: str, good: bool) -> None:
    """Who can change them on the way can be anybody."""
    assert key_set_cache.is_trusted_source(source) == good


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
    presented = mint_token(
        tmp_path / "development", subject="dev", tenant="demo", scopes=("workflows:submit",)
    ).encode()

    async with JwtAuthenticator([known]) as authenticator:
        assert (await ask(authenticator, presented)).issuer == DEVELOPMENT_ISSUER
    async with JwtAuthenticator([]) as authenticator:
        with pytest.raises(Unauthenticated):
            await ask(authenticator, presented)
    assert (tmp_path / "development" / "key.pem").stat().st_mode & 0o077 == 0
