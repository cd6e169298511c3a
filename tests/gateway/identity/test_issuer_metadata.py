"""Tests keys found by an issuer's metadata and under a private CA, and the log of failed fetches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from loguru import logger
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.core.errors import Unavailable
from gateway.identity.issuer_metadata import keys_address
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.identity.key_parsing import InvalidKeySet
from gateway.settings import Issuer
from tests.gateway.identity.tokens import EC, NOW, Clock, ask, key_set, public, token
from waypost import tls, tls_reloading
from waypost.pki import authority
from waypost.serving import Server


@asynccontextmanager
async def provider(folder: Path) -> AsyncIterator[str]:
    """Runs an issuer whose certificate is issued by the root in `folder`; yields its URL."""
    authority.create_root(folder)
    credentials = authority.issue_api(folder, ["127.0.0.1"])
    url = ""

    async def metadata(_: Request) -> Response:
        return Response(f'{{"issuer": "{url}", "jwks_uri": "{url}/keys"}}', media_type="application/json")

    async def keys(_: Request) -> Response:
        return Response(key_set(public(EC, "ec")))

    routes = [Route("/.well-known/openid-configuration", metadata), Route("/keys", keys)]
    context = tls.api_context(credentials.certificate, credentials.key)
    async with Server(Starlette(routes=routes), host="127.0.0.1", port=0, tls=context) as server:
        url = f"https://127.0.0.1:{server.port}"
        yield url


async def test_keys_are_found_by_the_issuers_url_under_a_private_ca(tmp_path: Path) -> None:
    """Only the URL and the root are given."""
    async with provider(tmp_path) as url:
        issuer = Issuer(url=url, ca=str(tmp_path / "ca.pem"))
        async with JwtAuthenticator([issuer], clock=Clock(NOW)) as authenticator:
            assert (await ask(authenticator, token(iss=url))).subject == "alice"


async def test_a_root_of_an_issuer_is_exchanged_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are read by the new root once that is in the file."""
    monkeypatch.setattr(tls_reloading, "RELOAD_SECONDS", 0.001)
    authority.create_root(tmp_path / "old")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes((tmp_path / "old" / "ca.pem").read_bytes())
    async with provider(tmp_path) as url:
        issuer = Issuer(url=url, ca=str(trusted), keys_pause_seconds=0.001)
        async with JwtAuthenticator([issuer], clock=Clock(NOW)) as authenticator:
            with pytest.raises(Unavailable):
                await ask(authenticator, token(iss=url))
            trusted.write_bytes((tmp_path / "ca.pem").read_bytes())
            found = None
            while found is None:
                with contextlib.suppress(Unavailable):
                    found = await ask(authenticator, token(iss=url))
                await asyncio.sleep(0)
            assert found.subject == "alice"


async def test_an_unknown_ca_is_named_as_the_cause(tmp_path: Path) -> None:
    """`ConnectError` alone says nothing of what to do."""
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}")
    async with (
        provider(tmp_path) as url,
        JwtAuthenticator([Issuer(url=url)], clock=Clock(NOW)) as authenticator,
    ):
        with pytest.raises(Unavailable):
            await ask(authenticator, token(iss=url))
    async with JwtAuthenticator([Issuer(url="http://127.0.0.1:1")]):
        pass
    logger.remove(sink)

    assert "its keys cannot be read: TLS: the certificate is not accepted: " in logged[0]
    assert "its keys cannot be read: connection: Connection refused" in logged[1]


GOOD = b'{"issuer": "https://a.test", "jwks_uri": "https://a.test/keys"}'


@pytest.mark.parametrize(
    "metadata",
    [
        b"<html>",
        b"[]",
        b"{}",
        GOOD.replace(b"//a.test", b"//b.test", 1),
        GOOD.replace(b"https://a.test/keys", b"http://a.test/keys"),
        GOOD.replace(b"https://a.test/keys", b"/etc/passwd"),
        GOOD.replace(b'"https://a.test/keys"', b"7"),
        GOOD.replace(b"{", b'{"issuer": "https://b.test", '),
        GOOD.decode().encode("utf-16"),
        *(
            GOOD.replace(b"{", b'{"x": ' + number + b", ")
            for number in (b"NaN", b"-Infinity", b"1e309", b"[[-1.5e999]]", b"1" * 40)
        ),
        GOOD.replace(b"{", b'{"x": "\\ud800", '),
        GOOD.replace(b"https://a.test/keys", b"HTTP://a.test/keys"),
        GOOD.replace(b"https://a.test/keys", b"file:///etc/passwd"),
    ],
)
def test_metadata_that_is_not_the_issuers_own_is_refused(metadata: bytes) -> None:
    """Another's keys must not be taken for its own, nor keys that come without TLS."""
    assert str(keys_address(GOOD, "https://a.test")) == "https://a.test/keys"
    with pytest.raises(InvalidKeySet):
        keys_address(metadata, "https://a.test")


def test_a_scheme_in_capitals_is_no_path_of_a_file() -> None:
    """It was: a file of that name could have been opened."""
    found = keys_address(GOOD.replace(b"https://a.test/keys", b"HTTPS://a.test/keys"), "https://a.test")

    assert found == httpx.URL("https://a.test/keys")
