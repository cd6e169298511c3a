"""Tests the limits of one connection on real sockets: late bodies, malformed requests."""

import asyncio
import logging

import httpx
import msgspec
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.waypost.test_serving import HOST, application, raw
from waypost.http_protocol import PIPELINED, ConnectionLimits
from waypost.serving import Server

HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"


def problem(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head + b"\r\n"
    assert b"content-length: %d" % len(body) in head
    return int(head.split()[1]), msgspec.json.decode(body)


async def test_a_body_that_does_not_come_closes_the_connection() -> None:
    """Fifty connections that each sent one byte of a body stayed open for as long as they liked."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(body_seconds=0.05)) as server,
        asyncio.timeout(3),
    ):
        answers = await asyncio.gather(*(raw(server, HEAD, b"x") for _ in range(5)))

    assert {(status, told["reason"], told["retryable"]) for status, told in map(problem, answers)} == {
        (408, "BodyTimeout", True)
    }


async def test_fields_behind_a_body_are_not_kept() -> None:
    """Without end, they would be memory without end, and nobody had to show a token for it."""
    kept: list[tuple[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        kept.extend(scope["headers"])
        await Response("ok", headers={"connection": "close"})(scope, receive, send)

    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    async with Server(app, host=HOST, port=0) as server, asyncio.timeout(3):
        answer = await raw(server, head, b"1\r\nx\r\n0\r\n" + b"late: 1\r\n" * 50 + b"\r\n")
        flood = await raw(server, head, b"1\r\nx\r\n0\r\n", *[b"late: 1\r\n" * 50] * 5)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [name for name, _ in kept] == [b"host", b"transfer-encoding"]
    assert flood == b""


async def test_the_clock_ends_with_the_body() -> None:
    """A connection goes on to its next request, whenever that comes."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(body_seconds=0.5)) as server,
        asyncio.timeout(9),
    ):
        reader, writer = await asyncio.open_connection(HOST, server.port)
        for pause in (0.6, 0.0):
            writer.write(HEAD)
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(b"b" * 1000)
            assert (await reader.readuntil(b"b" * 1000)).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(pause)
        writer.close()


async def test_a_long_answer_is_not_cut_off_by_the_bodys_clock() -> None:
    """An event stream lasts for hours."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(body_seconds=0.05)) as server,
        httpx.AsyncClient() as plain,
    ):
        request = plain.build_request("GET", f"http://{HOST}:{server.port}/endless", content=b"{}")
        lines = (await plain.send(request, stream=True)).aiter_lines()
        assert await anext(lines) == "first"
        await asyncio.sleep(0.1)
        server.closing.set()
        assert await anext(lines) == "last"


@pytest.mark.parametrize(
    "sent",
    [
        b"what is this\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        HEAD[:-2] + b"transfer-encoding: chunked\r\n\r\n",
    ],
)
async def test_a_request_that_is_none_is_a_problem_too(sent: bytes) -> None:
    """A client needs one way to read a refusal, whoever refuses."""
    async with Server(application(), host=HOST, port=0) as server, asyncio.timeout(3):
        status, told = problem(await raw(server, sent))

    assert (status, told["title"], told["reason"], told["retryable"]) == (
        400,
        "Bad Request",
        "Malformed",
        False,
    )
    assert len(str(told["trace_id"])) == 32


async def test_no_refusal_is_written_into_another_answer() -> None:
    """What follows a request on its connection must not look like a part of the answer to it."""
    async with Server(application(), host=HOST, port=0) as server, asyncio.timeout(3):
        answer = await raw(server, b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n", b"garbage\r\n\r\n")

    assert b"400" not in answer


@pytest.mark.parametrize("pieces", [[b"y" * 1100 + b"\r\n\r\n"], [b"y" * 51] * 20])
async def test_a_head_that_is_too_large_is_one_and_the_same_problem(pieces: list[bytes]) -> None:
    """However it arrives: one reason for one status."""
    async with (
        Server(application(), host=HOST, port=0, limits=ConnectionLimits(head_bytes=1000)) as server,
        asyncio.timeout(9),
    ):
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx: ")
        for piece in pieces:
            await asyncio.sleep(0.005)
            writer.write(piece)
        status, told = problem(await reader.read())
        writer.close()

    assert (status, told["reason"], told["title"]) == (
        431,
        "HeadersTooLarge",
        "Request Header Fields Too Large",
    )


async def test_another_protocol_is_not_spoken_and_not_talked_of(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each such request, with the advice to install something, was for whoever serves by hand."""
    with caplog.at_level(logging.WARNING):
        async with Server(application(), host=HOST, port=0) as server, httpx.AsyncClient() as plain:
            answer = await plain.get(
                f"http://{HOST}:{server.port}/", headers={"connection": "upgrade", "upgrade": "websocket"}
            )

    assert (answer.status_code, caplog.messages) == (200, [])


async def test_requests_that_wait_for_answers_are_few() -> None:
    """Thousands in one packet would each be parsed and kept before the first is answered."""
    let_go, begun = asyncio.Event(), 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        begun += 1
        await let_go.wait()
        await Response("ok")(scope, receive, send)

    get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    async with Server(app, host=HOST, port=0) as server, asyncio.timeout(10):
        assert await raw(server, get * (PIPELINED + 2)) == b"", "it is cut off"
        assert begun == 1
        let_go.set()
        last = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        assert (await raw(server, get * PIPELINED + last)).count(b"200 OK") == PIPELINED + 1
