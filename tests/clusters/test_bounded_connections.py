"""Tests that endless answers and very small pieces do not keep the event loop from other regions."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clusters.errors import ClusterError
from clusters.transport import Purpose, Timeouts
from tests.clusters.transport_servers import HOST, NUMBER, connect_to
from waypost.egress.bounded_connections import HEAD_BYTES, SMALL_PIECES

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Flood:
    """A server that answers every request with `head`, then with `more` until the connection ends."""

    def __init__(self, head: bytes, more: bytes, *, pause_seconds: float = 0.0) -> None:
        self.head, self.more, self.pause_seconds = head, more, pause_seconds
        self.sent = 0
        self.ended = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head)
            while True:
                writer.write(self.more)
                await writer.drain()
                self.sent += len(self.more)
                await asyncio.sleep(self.pause_seconds)
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def flooding(flood: Flood, tls: ssl.SSLContext) -> AsyncIterator[int]:
    server = await asyncio.start_server(flood.answer, HOST, 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


FLOODS = {
    "informational answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000, "no answer began within"),
    "a header": (b"HTTP/1.1 200 OK\r\nx: ", b"x" * 10_000, "no answer began within|Unreachable"),
    "pieces of a byte": (CHUNKED, b"1\r\n \r\n" * 10_000, "in pieces of 1 bytes"),
    "empty lines": (CHUNKED, b"1\r\n\n\r\n" * 10_000, "in pieces of 1 bytes"),
    "spaces": (CHUNKED, b"10000\r\n" + b" " * 0x10000 + b"\r\n", "an answer over|a line over"),
}


@pytest.mark.parametrize("purpose", [Purpose.APPLY, Purpose.PROBE])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
async def test_a_flood_ends_the_call_and_its_connection(
    flood: tuple[bytes, bytes, str], purpose: Purpose, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """By what has come, not by a time-out: between two reads there is none."""
    head, more, said = flood
    server = Flood(head, more)
    timeouts = Timeouts(whole_seconds=600.0)
    async with flooding(server, server_tls) as port, connect_to(port, client_tls, timeouts) as transport:
        with pytest.raises(ClusterError, match=said):
            await transport.call(purpose, "/", NUMBER)
        await server.ended.wait()


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
async def test_a_flood_ends_the_stream_and_its_connection(
    flood: tuple[bytes, bytes, str], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A stream that is opened again and again must cost no more than that."""
    head, more, said = flood
    server = Flood(head, more)
    async with flooding(server, server_tls) as port, connect_to(port, client_tls) as transport:
        with pytest.raises(ClusterError, match=said):
            await anext(transport.lines(Purpose.STREAM, "/", NUMBER, {}))
        await server.ended.wait()


async def test_an_answer_that_trickles_in_ends_with_its_connection_in_time(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Each byte comes well before the time-out between two reads."""
    server = Flood(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n", b" ", pause_seconds=0.005)
    timeouts = Timeouts(whole_seconds=0.1)
    async with flooding(server, server_tls) as port, connect_to(port, client_tls, timeouts) as transport:
        with pytest.raises(ClusterError, match=r"Timeout: no whole answer within 0.1 s"):
            await transport.call(Purpose.PROBE, "/", NUMBER)
        await server.ended.wait()


async def test_everything_else_has_its_turns_during_a_flood(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """The calls of other regions go on beside it, at each piece that is read."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    server = Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000)
    async with flooding(server, server_tls) as port, connect_to(port, client_tls) as transport:
        began = turns
        with pytest.raises(ClusterError, match="BadAnswer"):
            await transport.call(Purpose.APPLY, "/", NUMBER)
    counting.cancel()

    assert turns - began >= HEAD_BYTES // 4096


async def test_many_pieces_of_a_usual_size_are_an_answer(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Thousands of events a second, each in a chunk of its own."""
    event = b"1".rjust(99) + b"\n"
    server = Flood(CHUNKED, (b"64\r\n" + event + b"\r\n") * 500)
    async with flooding(server, server_tls) as port, connect_to(port, client_tls) as transport:
        lines = transport.lines(Purpose.STREAM, "/", NUMBER, {})
        assert {await anext(lines) for _ in range(5 * SMALL_PIECES)} == {1}
        await lines.aclose()
