"""Tests how much of what was written to a connection its client has acknowledged."""

import asyncio
import ssl
from pathlib import Path

from waypost import pki, tls
from waypost.connections.tcp_progress import bytes_taken


async def test_a_connection_that_was_lost_is_asked_without_an_error(tmp_path: Path) -> None:
    """Closed after its client has gone, asyncio's TLS transport raises for every question."""
    pki.create_root(tmp_path)
    issued = pki.issue_cluster(tmp_path, "beijing")
    connected: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            connected.set_result(transport)

    context = tls.api_context(issued.certificate, issued.key)
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, ssl=context)
    client = ssl.create_default_context(cafile=str(issued.root))
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client, server_hostname=tls.cluster_name("beijing")
    )
    transport = await connected
    assert bytes_taken(transport) > 0
    transport.close()
    # as uvicorn does at the end of an answer, where the client went in that moment
    transport.close()
    assert bytes_taken(transport) == 0
    writer.close()
    server.close()
    await server.wait_closed()
