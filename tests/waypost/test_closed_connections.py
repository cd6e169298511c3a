"""Tests that a closed connection's memory is free at once, without a garbage collection."""

import asyncio
import gc
import ssl
import weakref
from collections.abc import Iterator

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.waypost.test_serving import HOST
from tests.waypost.test_unread_answers import Loop, until_closed
from waypost import serving, tls
from waypost.pki import authority
from waypost.serving import Server

SMALL, LARGE = b"/10", b"/4000000"


async def answer_of_size(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"x" * int(scope["path"][1:]))(scope, receive, send)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("pki")
    authority.create_root(folder)
    return tls.server_context(authority.issue_cluster(folder, "beijing")), tls.client_context(
        authority.issue_gateway(folder)
    )


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def of_connection(server: Server) -> list[weakref.ref[object]]:
    """Returns weak references to the only connection and, over TLS, to what its transport alone keeps."""
    (connection,) = server._server.server_state.connections
    kept = connection.transport.get_extra_info("ssl_object")
    return [weakref.ref(connection), *([weakref.ref(kept)] if kept is not None else [])]


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("path", "times"), [(SMALL, 0), (SMALL, 1), (LARGE, 3)])
def test_nothing_keeps_a_closed_connection(
    loop: Loop, secure: bool, path: bytes, times: int, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """150 of them held 70 MB over TLS. Three large answers: one is under way and two wait."""
    server_tls, client_tls = contexts if secure else (None, None)

    async def main() -> None:
        async with asyncio.timeout(5), Server(answer_of_size, host=HOST, port=0, tls=server_tls) as server:
            reader, writer = await asyncio.open_connection(
                HOST,
                server.port,
                ssl=client_tls,
                server_hostname=tls.cluster_name("beijing") if secure else None,
            )
            writer.write(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path * times)
            if times:
                await reader.readuntil(b"\r\n\r\n")
            while not server._server.server_state.connections:
                await asyncio.sleep(0)
            kept = of_connection(server)

            writer.transport.abort()
            await until_closed(server)
            while any(reference() is not None for reference in kept):
                await asyncio.sleep(0.01)

    serving.run(main(), loop=loop)
