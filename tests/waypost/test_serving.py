"""Tests the HTTP server with ASGI applications on real sockets, in this process."""

import asyncio
import base64
import hashlib
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from waypost import serving, tls
from waypost.http_protocol import ConnectionLimits
from waypost.pki import authority
from waypost.serving import AdmitPeers, Server

HOST = "127.0.0.1"


async def whoami(request: Request) -> Response:
    peer = request.state.peer
    return JSONResponse({"uris": peer.uris, "thumbprint": peer.thumbprint} if peer else None)


async def endless(request: Request) -> Response:
    """Answers with a stream that ends when the server closes."""

    async def lines() -> AsyncIterator[bytes]:
        yield b"first\n"
        await request.state.closing.wait()
        yield b"last\n"

    return StreamingResponse(lines())


async def stubborn(_: Request) -> Response:
    """Answers with a stream that never ends."""

    async def lines() -> AsyncIterator[bytes]:
        yield b"first\n"
        await asyncio.Event().wait()

    return StreamingResponse(lines())


async def echo(request: Request) -> Response:
    return Response(await request.body())


def application() -> Starlette:
    routes = [
        Route("/", whoami),
        Route("/livez", whoami),
        Route("/endless", endless),
        Route("/stubborn", stubborn),
    ]
    return Starlette(routes=[*routes, Route("/echo", echo, methods=["POST"])])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.create_root(tmp_path)
    authority.issue_gateway(tmp_path)
    authority.issue_cluster(tmp_path, "beijing")
    return tmp_path


def client(folder: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=tls.client_context(tls.gateway_credentials(folder)))


async def ask(client: httpx.AsyncClient, server: Server, path: str) -> httpx.Response:
    name = tls.cluster_name("beijing")
    return await client.get(f"https://{HOST}:{server.port}{path}", extensions={"sni_hostname": name})


async def raw(server: Server, *parts: bytes) -> bytes:
    """Sends bytes and returns everything that comes back until the connection closes."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await reader.read()
    except ConnectionError:
        pass
    writer.close()
    return answer


async def test_a_free_port_is_found_and_told() -> None:
    """So that tests and the demo never collide; several servers share a loop."""
    async with (
        Server(application(), host=HOST, port=0) as first,
        Server(application(), host=HOST, port=0) as second,
        httpx.AsyncClient() as plain,
    ):
        answers = [await plain.get(f"http://{HOST}:{server.port}/") for server in (first, second)]

    assert [answer.json() for answer in answers] == [None, None]
    assert first.port != second.port


async def test_an_address_in_use_is_an_error_and_no_exit() -> None:
    """The process decides what that means, and says so in words."""
    async with Server(application(), host=HOST, port=0) as server:
        with pytest.raises(OSError, match=f"cannot listen on {HOST}:{server.port}"):
            await Server(application(), host=HOST, port=server.port).__aenter__()


async def test_no_header_says_what_serves() -> None:
    """Nobody needs to know."""
    async with Server(application(), host=HOST, port=0) as server, httpx.AsyncClient() as plain:
        answer = await plain.get(f"http://{HOST}:{server.port}/")

    assert set(answer.headers) == {"content-length", "content-type"}


async def test_forwarding_headers_are_not_believed() -> None:
    """Anybody can write them."""
    scopes = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        scopes.append(scope)
        await Response()(scope, receive, send)  # type: ignore[arg-type]  # only looks at the scope

    async with Server(app, host=HOST, port=0) as server, httpx.AsyncClient() as plain:  # type: ignore[arg-type]  # as above
        await plain.get(
            f"http://{HOST}:{server.port}/",
            headers={"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https"},
        )

    assert (scopes[0]["client"][0], scopes[0]["scheme"]) == (HOST, "http")  # type: ignore[index]  # a scope is loosely typed


async def test_the_clients_certificate_is_in_the_requests_state(folder: Path) -> None:
    """ASGI does not carry it."""
    pem = (folder / "gateway.pem").read_text()
    expected = (
        base64.urlsafe_b64encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()).rstrip(b"=").decode()
    )
    context = tls.server_context(tls.cluster_credentials(folder, "beijing"))

    async with Server(application(), host=HOST, port=0, tls=context) as server, client(folder) as mutual:
        answer = await ask(mutual, server, "/")

    assert answer.json() == {"uris": ["spiffe://waypost/gateway"], "thumbprint": expected}


def test_the_clients_certificate_is_seen_on_uvloop_too(folder: Path) -> None:
    """The gateway runs on it, and its transports are other classes."""
    context = tls.server_context(tls.cluster_credentials(folder, "beijing"))

    async def main() -> httpx.Response:
        async with Server(application(), host=HOST, port=0, tls=context) as server, client(folder) as mutual:
            return await ask(mutual, server, "/")

    assert serving.run(main(), loop="uvloop").json()["uris"] == ["spiffe://waypost/gateway"]


async def test_only_the_identities_named_are_admitted(folder: Path) -> None:
    """A certificate of our root is not enough: it must name the one who may."""
    context = tls.server_context(tls.cluster_credentials(folder, "beijing"))
    app = AdmitPeers(application(), uris=["spiffe://waypost/somebody-else"], open_paths=["/livez"])

    async with Server(app, host=HOST, port=0, tls=context) as server, client(folder) as mutual:
        refused, alive = await ask(mutual, server, "/"), await ask(mutual, server, "/livez")

    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    assert {**refused.json(), "trace_id": ""} == {
        "type": "urn:waypost:problem:Forbidden",
        "title": "Forbidden",
        "status": 403,
        "reason": "Forbidden",
        "retryable": False,
        "detail": "not admitted here: spiffe://waypost/gateway",
        "trace_id": "",
    }
    assert alive.status_code == 200


async def test_nobody_is_admitted_without_mutual_tls() -> None:
    """A plain socket by mistake opens nothing."""
    app = AdmitPeers(application(), uris=["spiffe://waypost/gateway"])

    async with Server(app, host=HOST, port=0) as server, httpx.AsyncClient() as plain:
        assert (await plain.get(f"http://{HOST}:{server.port}/")).status_code == 403


async def test_an_open_stream_ends_cleanly_when_the_server_stops() -> None:
    """Its client learns at once that it must look elsewhere, and the stop takes no grace."""
    async with httpx.AsyncClient() as plain:
        async with (
            asyncio.timeout(3),
            Server(application(), host=HOST, port=0, limits=ConnectionLimits(grace_seconds=60)) as server,
        ):
            request = plain.build_request("GET", f"http://{HOST}:{server.port}/endless")
            answer = await plain.send(request, stream=True)
            lines = answer.aiter_lines()
            assert await anext(lines) == "first"
        assert [line async for line in lines] == ["last"]


async def test_a_stream_that_does_not_end_is_cut_off_after_the_grace() -> None:
    """A stuck client must not hold a deployment up."""
    async with httpx.AsyncClient() as plain:
        async with (
            asyncio.timeout(5),
            Server(application(), host=HOST, port=0, limits=ConnectionLimits(grace_seconds=0)) as server,
        ):
            request = plain.build_request("GET", f"http://{HOST}:{server.port}/stubborn")
            answer = await plain.send(request, stream=True)
            lines = answer.aiter_lines()
            assert await anext(lines) == "first"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(lines)


async def test_code_after_a_signal_does_run() -> None:
    """A journal must be closed, a stream ended."""
    with serving.stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(3), Server(application(), host=HOST, port=0):
            await stop.wait()

    assert stop.is_set()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_an_idle_client_does_not_hold_the_end_up(folder: Path) -> None:
    """A pooled connection answers no farewell, and TLS would wait for one half a minute."""
    context = tls.server_context(tls.cluster_credentials(folder, "beijing"))

    async with (
        client(folder) as mutual,
        asyncio.timeout(15),
        Server(
            application(), host=HOST, port=0, tls=context, limits=ConnectionLimits(grace_seconds=60)
        ) as server,
    ):
        answer = await ask(mutual, server, "/")
        assert len(server._server.server_state.connections) == 1

    assert answer.status_code == 200
