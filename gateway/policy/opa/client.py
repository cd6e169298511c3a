"""A client of OPA's HTTP API: `opa-python-client` made strict and bounded, without redirects.

Unchanged, `opa-python-client` 3.0.0 follows a redirect, sending the document there, and believes the answer;
reads answers of any size; accepts NaN and doubled names in JSON; repeats a query twice, with pauses, after a
status 500; and supports neither Unix sockets nor root certificates of one's own.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self, cast

import aiohttp
from aiohttp.connector import Connection
from opa_client import AsyncOpaClient

from gateway.policy.opa.address import OpaAddress
from gateway.policy.opa.reply import Reply, ReplyError, explain_error, parse_reply
from waypost.tls_reloading import followed, reloaded_roots_context

REPLY_MAXIMUM_BYTES: Final = 4 * 1_048_576
"""The maximum bytes of an answer: ten thousand reasons of a refusal fit."""
PARAMETERS: Final = {"strict-builtin-errors": True, "provenance": True}
"""The query parameters of every evaluation: strict builtin errors, and the provenance of the answer.

Without the first, a builtin that fails makes its rule undefined, and a deny that needs it silent.
"""
HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}


CHUNK_BYTES: Final = 262_144
"""The maximum bytes written at once: more would block the event loop, and aiohttp warns of a whole MiB."""


class EncodedInput(dict[str, Any]):
    """A policy query's input, encoded as JSON already, in the type (dict) that OPA's client library takes."""

    def __init__(self, text: bytes, *, numbered: bool) -> None:
        super().__init__()
        self.text, self.numbered = text, numbered


class StrictResponse:
    """An HTTP response of OPA, read whole; replaces the `ClientResponse` that OPA's client library reads."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self._body = status, body

    def raise_for_status(self) -> None:
        """Raises `ReplyError`, with the cause that OPA gives, for any status but 200."""
        if self.status != 200:
            raise ReplyError(explain_error(self.status, self._body))

    async def json(self) -> Reply:
        """Parses the body of OPA's response. Raises `ReplyError` if it is no complete answer of an OPA."""
        return parse_reply(self._body)


class StrictOpaClient(AsyncOpaClient):
    """An HTTP client of the OPA at `address`; `async with` opens its connections. It has no deadline.

    `ca` is the path of a PEM file with the root certificates for https, whose changes are followed; None: the
    public ones.
    """

    def __init__(self, address: OpaAddress, *, ca: str | None = None, token: str | None = None) -> None:
        # Its constructor has no annotations.
        super().__init__(  # type: ignore[no-untyped-call]
            host=address.host, port=address.port, ssl=address.tls, token=token, retries=0
        )
        self._address, self._ca = address, ca
        self._exits, self._roots = AsyncExitStack(), cast(ssl.SSLContext | None, None)
        self._single_use: aiohttp.ClientSession | None = None
        """The HTTP session that opens a new connection for each question without a number."""

    async def ask(self, rule: str, document: bytes, *, numbered: bool = False) -> Reply:
        """Asks OPA for the value of `rule` (a full name) with the JSON `document` as input.

        `numbered`: the query has a number, which its answer repeats. A query without one gets a connection of
        its own, since a kept connection could deliver a late answer to an earlier query.

        Raises `ReplyError` for an error or an unusable answer of OPA, and `aiohttp.ClientError` or `OSError`
        where no answer came.
        """
        package, _, name = rule.removeprefix("data.").rpartition(".")
        reply = await self.query_rule(
            EncodedInput(document, numbered=numbered), package, name, dict(PARAMETERS)
        )
        # What `query_rule` returns is what `StrictResponse.json` gave it.
        return cast(Reply, reply)

    async def __aenter__(self) -> Self:
        if self._address.tls and self._ca is not None:
            self._roots = await self._exits.enter_async_context(followed(reloaded_roots_context(self._ca)))
        await self._init_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._session, self._single_use):
            if session is not None:
                await session.close()
        await self._exits.aclose()

    async def _init_session(self) -> None:
        context: ssl.SSLContext | bool = True
        if self._address.tls:
            context = self._roots or ssl.create_default_context()
        self._session = self._open_session(context, keep=True)
        self._single_use = self._open_session(context, keep=False)

    def _open_session(self, context: ssl.SSLContext | bool, *, keep: bool) -> aiohttp.ClientSession:
        if self._address.socket is not None:
            connector: aiohttp.BaseConnector = _UnixConnector(self._address.socket, force_close=not keep)
        else:
            connector = _TcpConnector(ssl=context, force_close=not keep)
        return aiohttp.ClientSession(
            headers=self.headers,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    @asynccontextmanager
    async def _request(self, method: str, url: str, **options: Any) -> AsyncIterator[StrictResponse]:
        asked = options.get("json", {}).get("input")
        body, session = None, self._session
        if isinstance(asked, EncodedInput):
            body = b'{"input":%b}' % asked.text
            session = self._session if asked.numbered else self._single_use
        if session is None:
            raise ReplyError("the engine is not running")
        try:
            response = await _exchange(session, method, url, body)
        except aiohttp.ClientConnectorError:
            raise
        except aiohttp.ClientConnectionError:
            # A kept connection that OPA has closed meanwhile, by a restart, fails once. A question changes
            # nothing, so asking it again is harmless.
            response = await _exchange(session, method, url, body)
        yield response


async def _exchange(
    session: aiohttp.ClientSession, method: str, url: str, body: bytes | None
) -> StrictResponse:
    headers: dict[str, str] = HEADERS
    data: bytes | AsyncIterator[bytes] | None = body
    if body is not None and len(body) > CHUNK_BYTES:
        headers, data = {**HEADERS, "content-length": str(len(body))}, _in_chunks(body)
    async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > REPLY_MAXIMUM_BYTES:
                # Not to be read to its end.
                response.close()
                raise ReplyError(f"it answers with more than {REPLY_MAXIMUM_BYTES} bytes")
        if response.status == 200 and body is not None:
            _check_kind(response)
        return StrictResponse(response.status, bytes(content))


def _check_kind(response: aiohttp.ClientResponse) -> None:
    """Raises `ReplyError` for an answer that is not OPA's: other than JSON over HTTP/1.1."""
    if response.version != aiohttp.HttpVersion11:
        raise ReplyError("it does not answer in HTTP/1.1")
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ReplyError("what it answers is not application/json")


class _QuietConnector(aiohttp.BaseConnector):
    """A connection pool that drops idle connections on which unrequested bytes have arrived.

    aiohttp 3.14 checks for such bytes only when a connection is put back: later ones, such as a second answer
    to the last question, would be taken for the answer to the next one.
    """

    async def connect(self, *arguments: Any, **options: Any) -> Connection:
        connection = await super().connect(*arguments, **options)
        for _ in range(self.limit):
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
            connection = await super().connect(*arguments, **options)
        connection.close()
        raise aiohttp.ClientConnectionError("it answers what nobody has asked")


class _UnixConnector(_QuietConnector, aiohttp.UnixConnector):
    """The connection pool to an OPA that listens on a Unix socket."""


class _TcpConnector(_QuietConnector, aiohttp.TCPConnector):
    """The connection pool to an OPA that listens on a host and a port."""


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
