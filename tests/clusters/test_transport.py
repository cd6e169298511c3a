"""Tests the HTTP client of clusters: what it sends, and over how many connections."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clusters.errors import ClusterError
from clusters.transport import CONNECTIONS, Purpose, Timeouts
from tests.clusters.transport_servers import (
    NUMBER,
    connect_to,
    serving,
)


async def test_an_answer_is_decoded(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A POST with its content as it is, a GET without."""

    async def echo(request: Request) -> Response:
        return Response(await request.body() or b"7", media_type="application/json")

    async with serving(echo, server_tls) as port, connect_to(port, client_tls) as transport:
        assert await transport.call(Purpose.APPLY, "/", NUMBER, content=b"42") == 42
        assert await transport.call(Purpose.PROBE, "/", NUMBER) == 7
        # One of each pool, kept for the next call: the metrics show them.
        assert transport.connections == 2


async def test_proxies_of_the_environment_are_not_asked(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that was set for another program must not send work over a proxy."""

    async def seven(_: Request) -> Response:
        return Response(b"7")

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(seven, server_tls) as port, connect_to(port, client_tls) as transport:
        assert await transport.call(Purpose.APPLY, "/", NUMBER) == 7


async def test_log_followers_do_not_starve_the_others(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A region must not look lost because many read its logs; one reader too many gets an error."""

    async def give(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"1\n"
            await request.state.closing.wait()

        return StreamingResponse(parts()) if "follow" in request.query_params else Response(b"7")

    async with (
        serving(give, server_tls) as port,
        connect_to(port, client_tls, Timeouts(pool_seconds=0.05)) as transport,
    ):
        followers = [
            transport.lines(Purpose.LOGS, "/", NUMBER, {"follow": "1"})
            for _ in range(CONNECTIONS[Purpose.LOGS] + 1)
        ]
        for follower in followers[:-1]:
            assert await anext(follower) == 1
        with pytest.raises(ClusterError) as raised:
            await anext(followers[-1])

        assert raised.value.reason == "Busy"
        assert await transport.call(Purpose.PROBE, "/", NUMBER) == 7
        assert await transport.call(Purpose.APPLY, "/", NUMBER) == 7


async def test_calls_share_a_few_connections(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A handshake costs more than a call."""
    clients = set()

    async def note(request: Request) -> Response:
        clients.add(request.client)
        return Response(b"7")

    async with serving(note, server_tls) as port, connect_to(port, client_tls) as transport:
        for _ in range(5):
            await asyncio.gather(*(transport.call(Purpose.APPLY, "/", NUMBER) for _ in range(8)))

    assert len(clients) <= CONNECTIONS[Purpose.APPLY]
