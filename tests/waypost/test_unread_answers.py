"""Tests on real sockets clients that do not read their answers, or reset meanwhile."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tests.waypost.test_serving import HOST
from waypost import serving
from waypost.http_protocol import ConnectionLimits
from waypost.serving import Server

LARGE = 8 * 1_048_576
SOON = ConnectionLimits(send_seconds=0.2, keep_alive_seconds=1)
Loop = Literal["uvloop", "asyncio"]


class Application:
    """An ASGI application that answers by path and counts the answers under way."""

    def __init__(self) -> None:
        self.begun = self.running = 0
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        self.running += 1
        try:
            if scope["path"] == "/large":
                await Response(b"x" * LARGE)(scope, receive, send)
            elif scope["path"] == "/closing":
                await Response(b"x" * LARGE, headers={"connection": "close"})(scope, receive, send)
            elif scope["path"] == "/disconnect":
                while (await receive())["type"] != "http.disconnect":
                    pass
                raise ClientDisconnect
            else:
                await StreamingResponse(_endless())(scope, receive, send)
        finally:
            self.running -= 1
            if not self.running:
                self.ended.set()


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"z" * 10_000
        await asyncio.sleep(0)


async def connected(server: Server, path: str, *, times: int = 1) -> socket.socket:
    """Returns a client that has sent its requests and reads nothing by itself."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (HOST, server.port))
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * times)
    return client


def serve(loop: Loop, test: Callable[[Server, Application], Awaitable[None]]) -> None:
    async def main() -> None:
        application = Application()
        async with asyncio.timeout(15), Server(application, host=HOST, port=0, limits=SOON) as server:
            await test(server, application)

    serving.run(main(), loop=loop)


async def until_closed(server: Server) -> None:
    """Waits until the server has no connection left."""
    while server._server.server_state.connections:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("path", ["/large", "/closing", "/endless"])
def test_a_client_that_reads_nothing_is_cut_off(loop: Loop, path: str) -> None:
    """Its answer would be held for as long as it liked, after the answer's end too."""

    async def test(server: Server, application: Application) -> None:
        client = await connected(server, path)
        await application.ended.wait()
        await until_closed(server)
        assert (application.begun, application.running) == (1, 0)
        client.close()

    serve(loop, test)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_client_that_takes_a_byte_now_and_then_is_cut_off(loop: Loop) -> None:
    """One byte a second would hold eight megabytes for months."""

    async def test(server: Server, application: Application) -> None:
        client = await connected(server, "/large")

        async def drip() -> None:
            while True:
                await asyncio.get_running_loop().sock_recv(client, 1)
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        await until_closed(server)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        await application.ended.wait()
        assert (application.begun, application.running) == (1, 0)
        client.close()

    serve(loop, test)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_slow_client_has_its_whole_answer(loop: Loop) -> None:
    """It takes several times as long as a client may take nothing."""
    pauses, pause_seconds = 80, 0.01
    assert pauses * pause_seconds >= 4 * SOON.send_seconds

    async def test(server: Server, _: Application) -> None:
        client, taken = await connected(server, "/large"), 0
        for pause in range(pauses):
            while taken < LARGE * (pause + 1) // pauses:
                piece = await asyncio.get_running_loop().sock_recv(client, 1_048_576 // 4)
                assert piece
                taken += len(piece)
            await asyncio.sleep(pause_seconds)
        client.close()

    serve(loop, test)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("path", ["/large", "/endless", "/disconnect"])
def test_a_reset_ends_the_answer_without_a_word(
    loop: Loop, path: str, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no error of the server's. With several requests on the connection all of them end."""

    async def test(server: Server, application: Application) -> None:
        for turn in range(10):
            client = await connected(server, path, times=times)
            while application.begun <= turn:
                await asyncio.sleep(0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await until_closed(server)
            while application.running:
                await asyncio.sleep(0.01)

    with caplog.at_level(logging.WARNING):
        serve(loop, test)

    assert caplog.messages == []
