"""Tests how key sets are refreshed, and what happens while they cannot be read."""

import asyncio
import gzip
from pathlib import Path

import pytest
from loguru import logger
from msgspec import structs
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.core.errors import Unauthenticated, Unavailable
from gateway.identity import issuer_metadata, key_set_cache
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.identity.key_parsing import InvalidKeySet
from gateway.settings import Issuer
from tests.gateway.identity.tokens import EC, NOW, OTHER_EC, URL, Clock, ask, key_set, public, token


class Provider:
    """A fake identity provider whose answers can be changed and whose calls are counted."""

    def __init__(self, server: HTTPServer) -> None:
        self.keys, self.status, self.calls, self.headers = key_set(public(EC, "ec")), 200, 0, dict[str, str]()
        server.expect_request("/jwks").respond_with_handler(self._answer)
        self.issuer = Issuer(url=URL, keys=server.url_for("/jwks"))

    def _answer(self, _: Request) -> Response:
        self.calls += 1
        return Response(self.keys, self.status, headers=self.headers)


async def test_an_unknown_id_fetches_at_most_once_a_pause(httpserver: HTTPServer) -> None:
    """21: a thousand made-up key ids do not make us call the provider a thousand times.

    Known ids are accepted meanwhile.
    """
    provider, monotonic = Provider(httpserver), Clock(100.0)
    async with JwtAuthenticator([provider.issuer], clock=Clock(NOW), monotonic=monotonic) as authenticator:
        monotonic.at += 20
        for number in range(50):
            with pytest.raises(Unauthenticated):
                await ask(authenticator, token(header={"kid": f"made-up-{number}"}))
        assert (await ask(authenticator, token())).subject == "alice"
    assert provider.calls == 2


async def test_a_revoked_key_is_out_within_its_time(httpserver: HTTPServer) -> None:
    """22: a cached token is refused once its key has left the key set."""
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
    """The first token after hours, signed with the old key, must not be accepted.

    Refreshing in the background would come too late for it.
    """
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
    """A server that sends a byte now and then must not hold the only refresh for ever."""

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
    """A few kilobytes may unpack to gigabytes, and no compression was asked for."""
    provider = Provider(httpserver)
    provider.keys, provider.headers = gzip.compress(provider.keys), {"content-encoding": "gzip"}
    async with JwtAuthenticator([provider.issuer]) as authenticator:
        with pytest.raises(Unavailable):
            await ask(authenticator, token())


async def test_the_log_does_not_contain_the_address_of_the_keys(httpserver: HTTPServer) -> None:
    """It may hold a secret; the cause is logged all the same."""
    provider, logged = Provider(httpserver), list[str]()
    provider.status = 500
    sink = logger.add(logged.append, format="{message}")
    async with JwtAuthenticator(
        [structs.replace(provider.issuer, keys=f"{provider.issuer.keys}?code=hunter2")]
    ):
        pass
    async with JwtAuthenticator([Issuer(url=URL, keys="http://127.0.0.1:1/jwks?code=hunter2")]):
        pass
    logger.remove(sink)
    assert ["the answer is 500" in logged[0], "connection: Connection refused" in logged[1]] == [True, True]
    assert "hunter2" not in "".join(logged)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("https://issuer.test/jwks", "https://issuer.test/jwks"),
        ("HTTPS://issuer.test/jwks", "https://issuer.test/jwks"),
        ("http://127.0.0.1:8000/jwks", "http://127.0.0.1:8000/jwks"),
        ("Http://LOCALHOST/jwks", "http://localhost/jwks"),
        ("http://[::1]/jwks", "http://[::1]/jwks"),
        ("/etc/waypost/jwks.json", Path("/etc/waypost/jwks.json")),
        ("keys/jwks.json", Path("keys/jwks.json")),
        ("http://issuer.test/jwks", None),
        ("http://localhost.issuer.test/jwks", None),
        ("https://user:hunter2@issuer.test/jwks", None),
        ("https://", None),
        ("https:/issuer.test/jwks", None),
        (" https://issuer.test/jwks", None),
        ("ftp://issuer.test/jwks", None),
        ("file:///etc/waypost/jwks.json", None),
    ],
)
def test_keys_come_by_https_or_from_this_machine(source: str, found: str | Path | None) -> None:
    """An attacker who can change keys on their way can sign any token; a scheme has no case."""
    if found is None:
        with pytest.raises(InvalidKeySet):
            issuer_metadata.key_source(source)
    else:
        assert str(issuer_metadata.key_source(source)) == str(found)
        assert isinstance(issuer_metadata.key_source(source), Path) == isinstance(found, Path)


async def test_an_outage_of_the_provider_is_not_ours_until_its_keys_are_stale(httpserver: HTTPServer) -> None:
    """23: tokens are accepted with cached keys; once these are stale, the response is 503 and not 401."""
    provider, monotonic = Provider(httpserver), Clock(100.0)
    async with JwtAuthenticator([provider.issuer], clock=Clock(NOW), monotonic=monotonic) as authenticator:
        provider.status = 500
        monotonic.at += 3_000
        assert (await ask(authenticator, token())).subject == "alice"
        monotonic.at += 1_000
        with pytest.raises(Unavailable):
            await ask(authenticator, token())
