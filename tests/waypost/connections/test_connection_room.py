"""Tests on real sockets that idle connections keep nobody else out."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from loguru import logger

from tests.waypost.test_serving import HOST, application, ask, client, folder
from waypost import serving, tls
from waypost.connections.connection_room import REFUSED_MAXIMUM, ConnectionRoom
from waypost.http_protocol import ConnectionLimits
from waypost.serving import Server

__all__ = ["folder"]
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
FEW = ConnectionLimits(connections=8)


class Named:
    """A fake connection that remembers that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def cut_off(self) -> None:
        self.closed = True


@pytest.fixture
async def lines() -> AsyncIterator[list[str]]:
    found: list[str] = []
    sink = logger.add(lambda message: found.append(str(message)), format="{message}", level="WARNING")
    yield found
    logger.remove(sink)


async def idle_connections(server: Server, number: int, *, sent: bytes = b"") -> list[socket.socket]:
    opened = []
    for _ in range(number):
        client = socket.socket()
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (HOST, server.port))
        client.send(sent)
        opened.append(client)
    return opened


async def closed_by_the_server(client: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(client, 65_536):
            pass
    return True


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("sent", [b"", b"GET / HT", REQUEST, b"POST /echo HTTP/1.1\r\n"])
def test_idle_connections_keep_nobody_out(loop: str, sent: bytes) -> None:
    """The oldest is closed for the next, whether it said nothing, began a request, or had its answer."""

    async def main() -> list[int]:
        async with (
            Server(application(), host=HOST, port=0, limits=FEW) as server,
            httpx.AsyncClient(base_url=f"http://{HOST}:{server.port}") as plain,
        ):
            idle = []
            statuses = []
            for _ in range(4):
                idle += await idle_connections(server, 20, sent=sent)
                statuses.append((await plain.get("/")).status_code)
            for connection in idle:
                connection.close()
        return statuses

    assert serving.run(main(), loop="uvloop" if loop == "uvloop" else "asyncio") == [200] * 4


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_connections_without_a_handshake_keep_nobody_out(folder: Path, loop: str) -> None:
    """TLS knows of a connection only after its handshake; those that never begin one count too."""
    context = tls.server_context(tls.cluster_credentials(folder, "beijing"))

    async def main() -> int:
        async with (
            Server(application(), host=HOST, port=0, tls=context, limits=FEW) as server,
            client(folder) as mutual,
        ):
            idle = await idle_connections(server, 40)
            answer = await ask(mutual, server, "/")
            async with asyncio.timeout(5):
                ends = [await closed_by_the_server(connection) for connection in idle[:30]]
            for connection in idle:
                connection.close()
        assert all(ends)
        return answer.status_code

    assert serving.run(main(), loop="uvloop" if loop == "uvloop" else "asyncio") == 200


async def test_a_full_server_says_so(lines: list[str]) -> None:
    """Nobody else would: the clients that are closed are not the operator's."""
    async with Server(application(), host=HOST, port=0, limits=FEW) as server:
        idle = await idle_connections(server, 40)
        async with httpx.AsyncClient() as plain:
            await plain.get(f"http://{HOST}:{server.port}/")
        for connection in idle:
            connection.close()

    assert len(lines) == 1
    assert lines[0].startswith("8 connections are open, which is all that there may be: idle ones are closed")


async def test_requests_under_way_are_not_closed_for_others() -> None:
    """Where all are busy the new one is told to come back, and a flood of such takes no place either."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(connections=1)) as server,
        httpx.AsyncClient() as plain,
        asyncio.timeout(20),
    ):
        address = f"http://{HOST}:{server.port}/"
        stream = await plain.send(plain.build_request("GET", f"{address}endless"), stream=True)
        first = stream.aiter_lines()
        assert await anext(first) == "first"
        idle = await idle_connections(server, 2 * REFUSED_MAXIMUM)
        answer = await plain.get(address)
        server.closing.set()
        rest = [line async for line in first]
        for connection in idle:
            connection.close()

    assert (answer.status_code, rest) == (503, ["last"])


def test_the_oldest_that_does_least_is_closed_first() -> None:
    """Who has shown nothing, then who waits, then who does not read; who is busy, never."""
    room = ConnectionRoom(5)
    arriving, idle, older_idle, stalled, busy = (Named() for _ in range(5))
    room.open = {arriving, idle, older_idle, stalled, busy}
    room.arriving[arriving] = room.idle[older_idle] = room.idle[idle] = room.stalled[stalled] = None

    assert room.full
    assert [room.make_room() for _ in range(5)] == [arriving, older_idle, idle, stalled, None]
    assert room.open == {busy}


def test_who_has_not_proved_who_they_are_makes_room() -> None:
    """They may wait for seconds until their token is looked at: that must not fill all places."""
    room, unproven, proven, gone = ConnectionRoom(2), Named(), Named(), Named()
    room.open = {unproven, proven}
    for connection in (unproven, proven, gone):
        room.set_unproven(connection, True)
    room.set_unproven(proven, False)
    assert [room.make_room() for _ in range(2)] == [unproven, None]
