"""Servers for tests of the HTTP client: real ones with TLS, and ones that only send given bytes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.json import Decoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from clusters.errors import ClusterError
from clusters.transport import Purpose, Timeouts, Transport
from waypost import tls
from waypost.serving import Server

HOST = "127.0.0.1"
NUMBER = Decoder(int)
Endpoint = Callable[[Request], Awaitable[Response]]


def connect_to(port: int, client_tls: ssl.SSLContext, timeouts: Timeouts | None = None) -> Transport:
    return Transport(
        f"https://{HOST}:{port}",
        server_name=tls.cluster_name("beijing"),
        tls=client_tls,
        store=lambda: "5709e.0",
        timeouts=timeouts,
    )


@asynccontextmanager
async def serving(endpoint: Endpoint, server_tls: ssl.SSLContext) -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"])])
    async with Server(app, host=HOST, port=0, tls=server_tls) as server:
        yield server.port


@asynccontextmanager
async def sending(answer: bytes | None, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Runs a server that sends `answer` to every request and closes; with None it never sends anything."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1000)
            if answer is None:
                await asyncio.Event().wait()
            else:
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    tasks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(
        lambda *ends: tasks.add(asyncio.create_task(handle(*ends))), HOST, 0, ssl=context
    )
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def failure(port: int, client_tls: ssl.SSLContext, timeouts: Timeouts | None = None) -> ClusterError:
    async with connect_to(port, client_tls, timeouts) as transport:
        with pytest.raises(ClusterError) as raised:
            await transport.call(Purpose.APPLY, "/", NUMBER)
    return raised.value


def streaming(*pieces: bytes) -> Endpoint:
    async def give(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    return give
