"""Tests the limits of a request's head and of the number of connections."""

import asyncio

import httpx
import pytest

from tests.waypost.test_serving import HOST, application, raw
from waypost.http_protocol import FIELDS, ConnectionLimits
from waypost.serving import Server


@pytest.mark.parametrize("size", [40_000, 400_000])
async def test_a_head_that_is_too_large_is_refused(size: int) -> None:
    """Else one client fills the memory with a header that never ends. In one piece, and in many."""
    async with Server(application(), host=HOST, port=0) as server:
        answer = await raw(server, b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"a" * size, b"\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # a reset may overtake the answer
        async with httpx.AsyncClient() as plain:
            assert (await plain.get(f"http://{HOST}:{server.port}/")).status_code == 200


async def test_a_head_that_never_ends_is_refused() -> None:
    """Without waiting for its end, which is what would fill the memory."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(head_seconds=60)) as server,
        asyncio.timeout(3),
    ):
        answer = await raw(server, *(b"GET / HTTP/1.1\r\nx: ", *(b"a" * 10_000 for _ in range(200))))

    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""


async def test_a_head_in_one_read_is_measured_exactly() -> None:
    """A large body in the same read does not count."""
    body = b"b" * 60_000
    async with Server(application(), host=HOST, port=0, limits=ConnectionLimits(head_bytes=1000)) as server:
        head = b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 60000\r\n"
        answer = await raw(server, head + b"\r\n" + body)
        refused = await raw(server, head + b"x: " + b"y" * 1000 + b"\r\n\r\n" + body)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(body)
    assert refused.startswith(b"HTTP/1.1 431 ") or refused == b""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost:"])
async def test_a_head_that_does_not_come_closes_the_connection(sent: bytes) -> None:
    """A thousand silent connections would cost nothing to open and never end."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(head_seconds=0.05)) as server,
        asyncio.timeout(3),
    ):
        assert await raw(server, sent) == b""


async def test_a_slow_answer_is_not_cut_off_by_the_heads_clock() -> None:
    """The clock is for the head alone."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(head_seconds=0.05)) as server,
        httpx.AsyncClient() as plain,
    ):
        request = plain.build_request("GET", f"http://{HOST}:{server.port}/endless")
        lines = (await plain.send(request, stream=True)).aiter_lines()
        assert await anext(lines) == "first"
        await asyncio.sleep(0.1)
        server.closing.set()
        assert await anext(lines) == "last"


async def test_connections_above_the_limit_are_told_to_come_back() -> None:
    """And those that are open go on."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(connections=1)) as server,
        httpx.AsyncClient() as plain,
    ):
        address = f"http://{HOST}:{server.port}/"
        request = plain.build_request("GET", f"{address}endless")
        stream = await plain.send(request, stream=True)
        answer = await plain.get(address)
        await stream.aclose()

    assert (answer.status_code, answer.json()["retryable"]) == (503, True)
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("ending", [b"", b"\r\n"])
async def test_a_head_with_too_many_fields_is_refused(ending: bytes) -> None:
    """A short field takes 20 times its bytes of memory: 1,500 heads of 30 kB took a gateway 480 MiB."""
    fields = b"aa:bb\r\n" * (FIELDS + 1)
    async with Server(application(), host=HOST, port=0) as server, asyncio.timeout(3):
        answer = await raw(server, b"GET / HTTP/1.1\r\n", fields, b"host: x\r\n", ending)
        again = await raw(server, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"over 100 fields" in answer
    assert again.startswith(b"HTTP/1.1 200 ")


async def test_a_head_with_all_the_fields_that_it_may_have_is_taken() -> None:
    """The limit is one of fields, whatever they are."""
    fields = b"aa:bb\r\n" * (FIELDS - 2) + b"host: x\r\nconnection: close\r\n"
    async with Server(application(), host=HOST, port=0) as server:
        assert (await raw(server, b"GET / HTTP/1.1\r\n" + fields + b"\r\n")).startswith(b"HTTP/1.1 200 ")
