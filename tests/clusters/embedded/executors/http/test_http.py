"""Tests `http` tasks: requests, answers, redirects, lost connections, secrets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from clusters.embedded.executors.http.executor import HttpExecutor, HttpSettings
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.secrets.values import Secrets
from clusters.protocol import OUTPUT_BYTES
from tests.conformance.executor import folders, launch
from waypost.cancellation import cancel_and_wait
from waypost.workflow.secrets import SecretSpec

LOCAL = ("localhost:*", "127.0.0.0/8:*", "[::1]:*")


async def called(tmp_path: Path, run: dict[str, Any], *egress: str, seconds: float | None = None) -> Outcome:
    settings = HttpSettings(egress=egress or LOCAL)
    made = launch("http", run)
    made = structs.replace(made, task=structs.replace(made.task, timeout_seconds=seconds))
    async with HttpExecutor(settings) as executor:
        return await executor.execute(made, folders(tmp_path), None)


@asynccontextmanager
async def scripted(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serves raw connections; yields the URL."""
    answering: set[asyncio.Task[None]] = set()

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        try:
            await answer(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer_one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    finally:
        server.close()
        await cancel_and_wait(answering)
        await asyncio.sleep(0)  # transports close their sockets in the next turn


async def test_a_name_that_cannot_be_one_fails_the_task(tmp_path: Path) -> None:
    """httpx raises a `UnicodeError` for it, which is none of its own errors."""
    outcome = await called(tmp_path, {"url": "http://xn--/"}, "*")
    assert not outcome.succeeded
    assert "A-label" in outcome.reason


async def test_an_answer_of_json_is_the_output(tmp_path: Path, httpserver: HTTPServer) -> None:
    received: list[Request] = []

    def answer(request: Request) -> Response:
        request.get_data()
        received.append(request)
        return Response('{"rows": 3}', content_type="application/json; charset=utf-8")

    httpserver.expect_request("/tables").respond_with_handler(answer)
    run = {
        "url": httpserver.url_for("/tables?token=swordfish"),
        "method": "POST",
        "headers": {"X-Team": "data"},
        "body": {"table": "orders"},
    }
    assert await called(tmp_path, run) == Outcome(succeeded=True, output={"rows": 3})
    (request,) = received
    assert request.get_data() == b'{"table":"orders"}'
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-team"] == "data"
    assert request.headers["idempotency-key"] == "run/0/a"
    log = folders(tmp_path).log.read_text()
    assert log == f"POST {httpserver.url_for('/tables')}: 200 OK\n"


async def test_an_answer_of_text_is_the_output(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("grüß", content_type="text/plain; charset=utf-8")
    outcome = await called(tmp_path, {"url": httpserver.url_for("/")})
    assert outcome == Outcome(succeeded=True, output="grüß")


@pytest.mark.parametrize(
    ("answer", "run", "why"),
    [
        (Response("no", status=503), {}, "answered 503 Service Unavailable"),
        (Response("yes", status=200), {"expectedStatus": [204]}, "answered 200 OK"),
        (Response("{", content_type="application/json"), {}, "the output is not JSON"),
        (Response('{"a":1,"a":2}', content_type="application/json"), {}, "the output is not JSON"),
        (Response("x" * (OUTPUT_BYTES + 1)), {}, "the output has more than 64 KiB"),
        (Response(b"\xff\xfe\xff", content_type="image/png"), {}, "neither JSON nor text"),
        (Response("x", headers={"content-encoding": "gzip"}), {}, "a compressed body"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_that_was_not_expected_is_a_failure(
    tmp_path: Path, httpserver: HTTPServer, answer: Response, run: dict[str, Any], why: str
) -> None:
    httpserver.expect_request("/").respond_with_response(answer)
    outcome = await called(tmp_path, {"url": httpserver.url_for("/"), **run})
    assert not outcome.succeeded
    assert not outcome.final
    assert why in outcome.reason


async def test_a_status_can_be_expected_and_a_body_ignored(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(b"\xff" * 1_000_000, status=404)
    run = {"url": httpserver.url_for("/"), "expectedStatus": [404], "answer": "ignore"}
    assert await called(tmp_path, run) == Outcome(succeeded=True)


async def test_redirects_are_followed_within_the_host_alone(tmp_path: Path, httpserver: HTTPServer) -> None:
    """Another host may be one that the task must not call, or must not send its headers to."""
    httpserver.expect_request("/old").respond_with_data("", status=302, headers={"location": "/new"})
    httpserver.expect_request("/new").respond_with_data("here")
    outcome = await called(tmp_path, {"url": httpserver.url_for("/old")})
    assert outcome == Outcome(succeeded=True, output="here")
    away = f"http://127.0.0.1:{httpserver.port}/new"
    httpserver.expect_request("/away").respond_with_data("", status=307, headers={"location": away})
    outcome = await called(tmp_path, {"url": httpserver.url_for("/away")})
    assert outcome.final
    assert f"is redirected to http://127.0.0.1:{httpserver.port}, another host" in outcome.reason
    httpserver.expect_request("/round").respond_with_data("", status=302, headers={"location": "/round"})
    outcome = await called(tmp_path, {"url": httpserver.url_for("/round")})
    assert "is redirected more than 5 times" in outcome.reason


@pytest.mark.parametrize(
    ("method", "safe", "final"),
    [
        ("GET", None, False),
        ("PUT", None, False),
        ("POST", None, True),
        ("POST", True, False),
        ("GET", False, True),
    ],
)
async def test_a_request_whose_answer_is_lost_is_repeated_only_where_that_does_no_harm(
    tmp_path: Path, method: str, *, safe: bool | None, final: bool
) -> None:
    """It may have had its effect."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with scripted(hang_up) as url:
        outcome = await called(tmp_path, {"url": url, "method": method, "safe": safe})
    assert (outcome.succeeded, outcome.final) == (False, final)
    assert ("`safe: true`" in outcome.reason) is final


async def test_a_request_that_was_never_sent_may_be_repeated(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        outcome = await called(tmp_path, {"url": url, "method": "POST"})
    assert (outcome.succeeded, outcome.final) == (False, False)


@pytest.mark.parametrize(("method", "final"), [("GET", False), ("POST", True)])
async def test_a_time_out_says_whether_the_request_may_be_repeated(
    tmp_path: Path, method: str, *, final: bool
) -> None:
    """The executor ends it just before the task's own time-out, which could not know."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with scripted(say_nothing) as url, asyncio.timeout(10):
        outcome = await called(tmp_path, {"url": url, "method": method}, seconds=0.2)
    assert "no answer within 0.2 s" in outcome.reason
    assert outcome.timed_out
    assert outcome.final is final


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "piece", "why"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "no answer began within 16384 bytes"),
        (CHUNKED, b"1\r\nx\r\n", "an answer in pieces of 1 bytes"),
        (CHUNKED, b"2000\r\n" + b"x" * 8192 + b"\r\n", "the output has more than 64 KiB"),
    ],
    ids=["no answer begins", "one byte after the other", "large"],
)
async def test_an_answer_that_never_ends_is_given_up(
    tmp_path: Path, begin: bytes, piece: bytes, why: str
) -> None:
    """It would keep the cluster busy, or take its memory."""

    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begin)
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

    async with scripted(go_on) as url, asyncio.timeout(20):
        outcome = await called(tmp_path, {"url": url})
    assert why in outcome.reason


async def test_a_header_can_be_a_secret(tmp_path: Path, httpserver: HTTPServer) -> None:
    """It stands in no log, though the host repeats it."""

    def repeat(request: Request) -> Response:
        return Response(f"not you: {request.headers['authorization']}", status=403)

    httpserver.expect_request("/").respond_with_handler(repeat)
    run = {
        "url": httpserver.url_for("/"),
        "headersFrom": {"Authorization": {"secret": "TOKEN", "prefix": "Bearer "}},
    }
    secret = SecretSpec(name="TOKEN", source="a")
    made = structs.replace(launch("http", run), secrets=Secrets([(secret, b"correct-horse\n")]))
    async with HttpExecutor(HttpSettings(egress=LOCAL)) as executor:
        outcome = await executor.execute(made, folders(tmp_path), None)
        missing = await executor.execute(launch("http", run), folders(tmp_path), None)
    assert outcome.reason == f"GET {httpserver.url_for('/')}: answered 403 Forbidden"
    assert "not you: Bearer ***" in folders(tmp_path).log.read_text()
    assert (missing.reason, missing.final) == ("headersFrom: the task has no secret TOKEN (as `env`)", True)


async def test_a_secret_that_no_header_can_hold_is_not_shown(tmp_path: Path, httpserver: HTTPServer) -> None:
    """The library's error has the whole header in it."""
    run = {"url": httpserver.url_for("/"), "headersFrom": {"Authorization": {"secret": "TOKEN"}}}
    secret = SecretSpec(name="TOKEN", source="a")
    made = structs.replace(launch("http", run), secrets=Secrets([(secret, b"correct-horse\nbattery-staple")]))
    async with HttpExecutor(HttpSettings(egress=LOCAL)) as executor:
        outcome = await executor.execute(made, folders(tmp_path), None)
    assert not outcome.succeeded
    for text in (outcome.reason, folders(tmp_path).log.read_text()):
        assert "horse" not in text
        assert "staple" not in text
