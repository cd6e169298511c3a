"""Tests how much of what was written to a connection its client has acknowledged."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from waypost import tls
from waypost.connections.tcp_progress import bytes_taken
from waypost.pki import authority


class Server(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[asyncio.Transport] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.made.set_result(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(None)


Ends = tuple[Server, asyncio.StreamWriter]


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    """Both ends of a TLS connection."""
    authority.create_root(tmp_path)
    issued, end = authority.issue_cluster(tmp_path, "beijing"), Server()
    context = tls.api_context(issued.certificate, issued.key)
    server = await asyncio.get_running_loop().create_server(lambda: end, "127.0.0.1", 0, ssl=context)
    client = ssl.create_default_context(cafile=str(issued.root))
    _, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=client, server_hostname=tls.cluster_name("beijing")
    )
    yield end, writer
    writer.transport.abort()
    server.close()
    await server.wait_closed()


async def test_a_connection_that_its_client_has_reset_is_asked_without_an_error(ends: Ends) -> None:
    """An answer may be written at that moment."""
    end, writer = ends
    transport = await end.made
    assert bytes_taken(transport) > 0
    writer.transport.abort()
    await end.lost
    assert bytes_taken(transport) == 0


async def test_a_connection_that_was_closed_again_is_asked_without_an_error(ends: Ends) -> None:
    """As uvicorn does at the end of an answer; asyncio's transport raises for every question then."""
    transport = await ends[0].made
    transport.close()
    transport.close()
    assert bytes_taken(transport) == 0
