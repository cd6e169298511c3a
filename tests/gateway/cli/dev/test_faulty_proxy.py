"""Tests the faulty proxy, which simulates a bad network with real sockets."""

import asyncio
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.cli.dev.faulty_proxy import Mode, Proxy
from waypost import serving

HOST = "127.0.0.1"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def target(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(run(reader, writer)))

    server = await asyncio.start_server(accept, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with target(echo) as port, Proxy(target_host=HOST, target_port=port) as proxy:
        yield proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    yield reader, writer
    writer.transport.abort()


async def ask(ends: Ends, text: bytes, *, timeout_seconds: float = 5.0) -> bytes:
    ends[1].write(text)
    return await asyncio.wait_for(ends[0].readexactly(len(text)), timeout_seconds)


async def test_bytes_pass_and_both_ends_close_in_order(proxy: Proxy) -> None:
    """A proxy that changes nothing is not noticed, also where only one direction ends."""
    sent = random.Random(1).randbytes(3_000_000)
    async with connected(proxy) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == sent


async def test_a_delay_is_paid_each_way(proxy: Proxy) -> None:
    """A round trip rises by twice the figure, at once, on connections that are open."""
    async with connected(proxy) as ends:
        await ask(ends, b"warm")
        proxy.delay_seconds = 0.05
        began = time.monotonic()
        await ask(ends, b"late")
        assert 0.1 <= time.monotonic() - began < 0.3


async def test_a_delay_costs_no_throughput(proxy: Proxy) -> None:
    """Bytes overlap in flight."""
    proxy.delay_seconds = 0.1
    sent = random.Random(1).randbytes(3_000_000)
    async with connected(proxy) as (reader, writer):
        began = time.monotonic()
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        assert time.monotonic() - began < 1.5


async def test_order_holds_when_the_delay_falls(proxy: Proxy) -> None:
    """What is sent later arrives later, also where it could be sooner."""
    proxy.delay_seconds = 0.1
    messages = [b"%4d" % number for number in range(200)]
    async with connected(proxy) as (reader, writer):
        for number, message in enumerate(messages):
            if number == 100:
                proxy.delay_seconds = 0.02
            writer.write(message)
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(800) == b"".join(messages)


async def test_a_cut_resets_and_refuses_until_it_is_over(proxy: Proxy) -> None:
    """As when a process dies; and the port is still ours afterwards."""
    async with connected(proxy) as ends:
        await ask(ends, b"hello")
        await proxy.switch(Mode.CUT)
        with pytest.raises(ConnectionResetError):
            await ends[0].read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, proxy.port)

    await proxy.switch(Mode.PASS)
    async with connected(proxy) as ends:
        assert await ask(ends, b"again") == b"again"


async def test_a_black_hole_accepts_and_answers_nothing(proxy: Proxy) -> None:
    """Old connections fall silent, new ones are silent from the start, and neither ends."""
    async with connected(proxy) as old:
        await ask(old, b"hello")
        await proxy.switch(Mode.BLACKHOLE)
        async with connected(proxy) as new:
            for ends in (old, new):
                with pytest.raises(TimeoutError):
                    await ask(ends, b"hello?", timeout_seconds=0.05)
            await proxy.switch(Mode.PASS)
            for ends in (old, new):
                with pytest.raises(ConnectionResetError):
                    await ends[0].read()


async def test_a_death_behind_a_black_hole_is_not_seen() -> None:
    """A host that vanishes sends no farewell."""
    doom = asyncio.Event()

    async def doomed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        await doom.wait()
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )

    async with (
        target(doomed) as port,
        Proxy(target_host=HOST, target_port=port) as proxy,
        connected(proxy) as ends,
    ):
        await ask(ends, b"hello")
        await proxy.switch(Mode.BLACKHOLE)
        doom.set()
        with pytest.raises(TimeoutError):
            await ask(ends, b"hello?", timeout_seconds=0.05)


async def test_swallowed_replies_leave_the_work_done() -> None:
    """The case that idempotent calls are for: what was asked is done, and the client does not learn it."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            heard.put_nowait(piece)
            writer.write(piece)

    async with (
        target(answering) as port,
        Proxy(target_host=HOST, target_port=port) as proxy,
        connected(proxy) as ends,
    ):
        await proxy.switch(Mode.SWALLOW_REPLIES)
        with pytest.raises(TimeoutError):
            await ask(ends, b"create", timeout_seconds=0.05)
        assert await heard.get() == b"create"


async def test_chance_resets_as_often_as_asked(proxy: Proxy) -> None:
    """By the dice that were given: a seed repeats a test."""

    async def outcome() -> bool:
        async with connected(proxy) as ends:
            try:
                return await ask(ends, b"x") == b"x"
            except (ConnectionResetError, asyncio.IncompleteReadError):
                return False

    proxy.reset_probability, proxy._dice = 0.3, random.Random(7)
    dice = random.Random(7)
    assert [await outcome() for _ in range(40)] == [dice.random() >= 0.3 for _ in range(40)]


async def test_a_rate_is_shared_by_all(proxy: Proxy) -> None:
    """Two connections have half each: 20 kB at 100 kB/s take 0.2 s."""
    proxy.bytes_per_second = 100_000
    async with connected(proxy) as one, connected(proxy) as other:
        began = time.monotonic()
        await asyncio.gather(ask(one, b"a" * 10_000), ask(other, b"b" * 10_000))
        assert 0.18 <= time.monotonic() - began < 0.6


async def test_a_target_that_refuses_resets_the_client() -> None:
    """A proxy in front of a dead process must not look alive."""
    async with target(echo) as port:
        pass
    async with Proxy(target_host=HOST, target_port=port) as proxy, connected(proxy) as ends:
        with pytest.raises(ConnectionResetError):
            await ends[0].read()


async def test_leaving_resets_what_is_open(proxy: Proxy) -> None:
    """Whatever its mode and however long its delay."""
    async with target(echo) as port:
        async with Proxy(target_host=HOST, target_port=port) as proxy:
            reader, writer = await asyncio.open_connection(HOST, proxy.port)
            await ask((reader, writer), b"hello")
            proxy.delay_seconds = 60.0
            writer.write(b"on its way")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.transport.abort()


def test_it_works_on_uvloop_too() -> None:
    """The gateway's process runs on it."""

    async def main() -> None:
        async with (
            target(echo) as port,
            Proxy(target_host=HOST, target_port=port) as proxy,
            connected(proxy) as ends,
        ):
            assert await ask(ends, b"hello") == b"hello"
            await proxy.switch(Mode.CUT)
            with pytest.raises(ConnectionResetError):
                await ends[0].read()

    serving.run(main(), loop="uvloop")
