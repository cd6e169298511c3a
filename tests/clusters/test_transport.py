"""What can go wrong on the road to a cluster, and what it is called."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.json import Decoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from clusters import transport
from clusters.errors import ClusterError
from clusters.transport import CONNECTIONS, Purpose, Timeouts, Transport
from waypost import pki, tls
from waypost.problems import problem
from waypost.serving import Server

HOST = "127.0.0.1"
NUMBER = Decoder(int)
TEXT = Decoder(str)
LASTING = {400: "BadRequest", 401: "Forbidden", 403: "Forbidden", 404: "NotFound", 413: "TooLarge"}
PASSING = {302: "BadAnswer", 500: "BadAnswer", 502: "Unavailable", 503: "Unavailable", 504: "Unavailable"}
Endpoint = Callable[[Request], Awaitable[Response]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.create_root(folder)
    pki.issue_gateway(folder)
    pki.issue_cluster(folder, "beijing")
    return folder


@pytest.fixture
def server_tls(folder: Path) -> ssl.SSLContext:
    return tls.server_context(tls.cluster_credentials(folder, "beijing"))


@pytest.fixture
def client_tls(folder: Path) -> ssl.SSLContext:
    return tls.client_context(tls.gateway_credentials(folder))


def to(port: int, client_tls: ssl.SSLContext, timeouts: Timeouts | None = None) -> Transport:
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
async def saying(answer: bytes | None, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A server that says just this to whatever it hears, and closes; with None it never says anything."""

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
    async with to(port, client_tls, timeouts) as road:
        with pytest.raises(ClusterError) as raised:
            await road.call(Purpose.APPLY, "/", NUMBER)
    return raised.value


async def test_an_answer_is_decoded(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A POST with its content as it is, a GET without."""

    async def echo(request: Request) -> Response:
        return Response(await request.body() or b"7", media_type="application/json")

    async with serving(echo, server_tls) as port, to(port, client_tls) as road:
        assert await road.call(Purpose.APPLY, "/", NUMBER, content=b"42") == 42
        assert await road.call(Purpose.PROBE, "/", NUMBER) == 7


async def test_proxies_of_the_environment_are_not_asked(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that somebody set for another program must not detour work."""

    async def seven(_: Request) -> Response:
        return Response(b"7")

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(seven, server_tls) as port, to(port, client_tls) as road:
        assert await road.call(Purpose.APPLY, "/", NUMBER) == 7


async def test_a_closed_port_is_unreachable(client_tls: ssl.SSLContext) -> None:
    """As when the process has died."""
    async with saying(b"", None) as port:
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
    """Half an answer is none."""
    async with saying(answer, server_tls) as port:
        assert (await failure(port, client_tls)).reason == "Unreachable"


async def test_a_server_without_tls_is_unreachable(client_tls: ssl.SSLContext) -> None:
    """Something else has the address."""
    async with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n", None) as port:
        assert (await failure(port, client_tls)).reason == "Unreachable"


async def test_silence_after_the_request_is_a_timeout(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Unknown, not failed: the caller must ask."""
    async with saying(None, server_tls) as port:
        error = await failure(port, client_tls, Timeouts(read_seconds=0.05))

    assert (error.reason, error.retryable) == ("Timeout", True)


async def test_silence_within_the_handshake_is_a_timeout(client_tls: ssl.SSLContext) -> None:
    """A black hole accepts connections."""
    async with saying(None, None) as port:
        assert (await failure(port, client_tls, Timeouts(connect_seconds=0.05))).reason == "Timeout"


@pytest.mark.parametrize("status", [*LASTING, *PASSING])
async def test_a_status_has_its_reason(
    status: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Whoever gave it; and a redirection is not followed."""

    async def refuse(_: Request) -> Response:
        return Response("<html>", status, {"location": "/elsewhere"})

    async with serving(refuse, server_tls) as port:
        error = await failure(port, client_tls)

    assert (error.reason, error.retryable) == ((LASTING | PASSING)[status], status in PASSING)


async def test_a_clusters_own_reason_counts_more_than_the_status(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """So that the same error comes out as went in."""

    async def refuse(_: Request) -> Response:
        return problem(409, "Restored", "the journal is a copy", retryable=True)

    async with serving(refuse, server_tls) as port, to(port, client_tls) as road:
        error = await failure(port, client_tls)
        with pytest.raises(ClusterError, match="Restored: the journal is a copy"):
            await anext(road.lines(Purpose.LOGS, "/", NUMBER, {}))

    assert (error.reason, error.detail, error.retryable) == ("Restored", "the journal is a copy", True)


@pytest.mark.parametrize("answer", [b"not JSON", b'"seven"', b"", b"\xff"])
async def test_an_answer_of_another_form_is_bad(
    answer: bytes, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Not a stack trace."""

    async def give(_: Request) -> Response:
        return Response(answer)

    async with serving(give, server_tls) as port:
        assert (await failure(port, client_tls)).reason == "BadAnswer"


async def test_an_endless_answer_is_bad(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster gone mad must not take the gateway's memory, in one answer or in one line."""
    monkeypatch.setattr(transport, "ANSWER_BYTES", 100_000)

    async def flood(_: Request) -> Response:
        async def zeros() -> AsyncIterator[bytes]:
            while True:
                yield b"0" * 10_000
                await asyncio.sleep(0)

        return StreamingResponse(zeros())

    async with serving(flood, server_tls) as port, to(port, client_tls) as road:
        with pytest.raises(ClusterError, match="BadAnswer: an answer over"):
            await road.call(Purpose.APPLY, "/", NUMBER)
        with pytest.raises(ClusterError, match="BadAnswer: a line over"):
            await anext(road.lines(Purpose.STREAM, "/", NUMBER, {}))


def streaming(*pieces: bytes) -> Endpoint:
    async def give(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    return give


async def test_lines_end_at_newlines_alone(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """JSON text may hold U+2028 and the like, which `str.splitlines` takes for ends; and pieces are cut anywhere."""
    values = ["one", "a\u2028b\u0085c\x0bd", "ü" * 100, "last"]
    wire = b"\n\n".join(msgspec.json.encode(value) for value in values) + b"\n"
    pieces = [wire[at : at + 3] for at in range(0, len(wire), 3)]

    async with serving(streaming(*pieces), server_tls) as port, to(port, client_tls) as road:
        assert [line async for line in road.lines(Purpose.STREAM, "/", TEXT, {})] == values


async def test_a_line_of_another_form_ends_the_stream(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """What came before it counts."""
    async with serving(streaming(b"1\n2\nthree\n4\n"), server_tls) as port, to(port, client_tls) as road:
        lines = road.lines(Purpose.STREAM, "/", NUMBER, {})
        assert [await anext(lines), await anext(lines)] == [1, 2]
        with pytest.raises(ClusterError, match="BadAnswer"):
            await anext(lines)


async def test_a_stream_that_ends_within_a_line_is_bad(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """`12` may have been `123`."""
    async with serving(streaming(b"1\n12"), server_tls) as port, to(port, client_tls) as road:
        lines = road.lines(Purpose.STREAM, "/", NUMBER, {})
        assert await anext(lines) == 1
        with pytest.raises(ClusterError, match="within a line"):
            await anext(lines)


async def test_log_followers_do_not_starve_the_others(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A region must not look lost because many read its logs; one reader too many is told so."""

    async def give(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"1\n"
            await request.state.closing.wait()

        return StreamingResponse(parts()) if "follow" in request.query_params else Response(b"7")

    async with serving(give, server_tls) as port, to(port, client_tls, Timeouts(pool_seconds=0.05)) as road:
        followers = [
            road.lines(Purpose.LOGS, "/", NUMBER, {"follow": "1"})
            for _ in range(CONNECTIONS[Purpose.LOGS] + 1)
        ]
        for follower in followers[:-1]:
            assert await anext(follower) == 1
        with pytest.raises(ClusterError) as raised:
            await anext(followers[-1])

        assert raised.value.reason == "Busy"
        assert await road.call(Purpose.PROBE, "/", NUMBER) == 7
        assert await road.call(Purpose.APPLY, "/", NUMBER) == 7


async def test_calls_share_a_few_connections(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A handshake costs more than a call."""
    clients = set()

    async def note(request: Request) -> Response:
        clients.add(request.client)
        return Response(b"7")

    async with serving(note, server_tls) as port, to(port, client_tls) as road:
        for _ in range(5):
            await asyncio.gather(*(road.call(Purpose.APPLY, "/", NUMBER) for _ in range(8)))

    assert len(clients) <= CONNECTIONS[Purpose.APPLY]
