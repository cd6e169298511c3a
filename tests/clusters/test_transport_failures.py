"""Tests the reason that each failure of a call to a cluster is given."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clusters import transport as transport_module
from clusters.errors import ClusterError
from clusters.transport import Purpose, Timeouts
from tests.clusters.transport_servers import (
    NUMBER,
    connect_to,
    failure,
    sending,
    serving,
)
from waypost.problem_documents import problem

LASTING = {400: "BadRequest", 401: "Forbidden", 403: "Forbidden", 404: "NotFound", 413: "TooLarge"}
PASSING = {302: "BadAnswer", 500: "BadAnswer", 502: "Unavailable", 503: "Unavailable", 504: "Unavailable"}


async def test_a_closed_port_is_unreachable(client_tls: ssl.SSLContext) -> None:
    """As when the process has died."""
    async with sending(b"", None) as port:
        pass
    error = await failure(port, client_tls)

    assert (error.reason, error.retryable) == ("Unreachable", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n",
        b"what?\r\n",
    ],
    ids=["nothing", "half", "half a stream", "no HTTP"],
)
async def test_a_connection_that_breaks_is_unreachable(
    answer: bytes, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Half an answer is no answer."""
    async with sending(answer, server_tls) as port:
        assert (await failure(port, client_tls)).reason == "Unreachable"


async def test_a_server_without_tls_is_unreachable(client_tls: ssl.SSLContext) -> None:
    """Something else has the address."""
    async with sending(b"HTTP/1.1 400 Bad Request\r\n\r\n", None) as port:
        assert (await failure(port, client_tls)).reason == "Unreachable"


async def test_silence_after_the_request_is_a_timeout(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """The result is unknown, not a failure: the caller has to ask."""
    async with sending(None, server_tls) as port:
        error = await failure(port, client_tls, Timeouts(read_seconds=0.05))

    assert (error.reason, error.retryable) == ("Timeout", True)


async def test_silence_within_the_handshake_is_a_timeout(client_tls: ssl.SSLContext) -> None:
    """A host may accept connections and never answer."""
    async with sending(None, None) as port:
        assert (await failure(port, client_tls, Timeouts(connect_seconds=0.05))).reason == "Timeout"


@pytest.mark.parametrize("status", [*LASTING, *PASSING])
async def test_a_status_has_its_reason(
    status: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A proxy between us may have sent it; a redirection is not followed."""

    async def refuse(_: Request) -> Response:
        return Response("<html>", status, {"location": "/elsewhere"})

    async with serving(refuse, server_tls) as port:
        error = await failure(port, client_tls)

    assert (error.reason, error.retryable) == ((LASTING | PASSING)[status], status in PASSING)


async def test_a_clusters_own_reason_counts_more_than_the_status(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """The gateway raises the same error that the cluster raised."""

    async def refuse(_: Request) -> Response:
        return problem(409, "Restored", "the journal is a copy", retryable=True)

    async with serving(refuse, server_tls) as port, connect_to(port, client_tls) as transport:
        error = await failure(port, client_tls)
        with pytest.raises(ClusterError, match="Restored: the journal is a copy"):
            await anext(transport.lines(Purpose.LOGS, "/", NUMBER, {}))

    assert (error.reason, error.detail, error.retryable) == ("Restored", "the journal is a copy", True)


@pytest.mark.parametrize("answer", [b"not JSON", b'"seven"', b"", b"\xff"])
async def test_an_answer_of_another_form_is_bad(
    answer: bytes, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """It is an error of the call, not an exception of the decoder."""

    async def give(_: Request) -> Response:
        return Response(answer)

    async with serving(give, server_tls) as port:
        assert (await failure(port, client_tls)).reason == "BadAnswer"


async def test_an_endless_answer_is_bad(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A faulty cluster must not fill the gateway's memory, with one answer or with one line."""
    monkeypatch.setattr(transport_module, "ANSWER_BYTES", 100_000)

    async def flood(_: Request) -> Response:
        async def zeros() -> AsyncIterator[bytes]:
            while True:
                yield b"0" * 10_000
                await asyncio.sleep(0)

        return StreamingResponse(zeros())

    async with serving(flood, server_tls) as port, connect_to(port, client_tls) as transport:
        with pytest.raises(ClusterError, match="BadAnswer: an answer over"):
            await transport.call(Purpose.APPLY, "/", NUMBER)
        with pytest.raises(ClusterError, match="BadAnswer: a line over"):
            await anext(transport.lines(Purpose.STREAM, "/", NUMBER, {}))
