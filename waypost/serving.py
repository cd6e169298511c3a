"""Serves ASGI applications over HTTP, several in one event loop, with limits and a clean shutdown.

uvicorn is used as a library. Two of its habits are switched off: it installs signal handlers and raises the
signals again, so that nothing after `serve()` runs; and it believes forwarding headers from loopback. The
limits of one connection are in `http_protocol.py`.
"""

import asyncio
import signal
import socket
import ssl
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, Self, TypeVar

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.connections.acceptor import Acceptor
from waypost.connections.connection_room import ConnectionRoom
from waypost.connections.tls_peer import Peer
from waypost.http_protocol import BoundedHttpProtocol, ConnectionLimits, ServerConfig
from waypost.problem_documents import problem
from waypost.tracing.headers import trace_id_of

T = TypeVar("T")
TLS_SHUTDOWN_SECONDS: Final = 1.0


class Server:
    """The HTTP server of one ASGI application on one address, which listens within `async with`.

    The state of each request holds `peer` (a `Peer`, or None without a client certificate) and `closing`, an
    `asyncio.Event` that is set when the server stops: endless answers end then.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self.closing = asyncio.Event()
        self._host, self._port = host, port
        self._server = _Server(
            ServerConfig(app, limits=limits or ConnectionLimits(), tls=tls, closing=self.closing)
        )

    async def __aenter__(self) -> Self:
        """Binds the address and starts to accept calls. Raises `OSError` if it cannot be bound."""
        listener = _bound(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._serving = asyncio.create_task(
            self._server.serve([listener]), name=f"serve {self._host}:{self._port}"
        )
        await self._server.listening.wait()
        if self._serving.done():
            await self._serving
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops listening, ends streams, and lets other requests finish within `grace_seconds`."""
        self.closing.set()
        self._server.should_exit = True
        await self._serving
        state = self._server.server_state
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Returns the port that the server listens on.

        If port 0 was requested, it is the one that the system chose.
        """
        return self._port

    @property
    def connections(self) -> int:
        """Returns the number of the server's open connections."""
        return len(self._server.room.open)


class AdmitPeers:
    """ASGI middleware that admits only clients whose certificate has one of the SAN URIs `uris`.

    Others get 403, except on `open_paths`, which are open to every client that the TLS handshake accepts.
    """

    def __init__(self, app: ASGIApp, *, uris: Collection[str], open_paths: Collection[str] = ()) -> None:
        self._app, self._uris, self._open_paths = app, frozenset(uris), frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer: Peer | None = scope.get("state", {}).get("peer")
        admitted = peer is not None and not self._uris.isdisjoint(peer.uris)
        if admitted or scope["type"] == "lifespan" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
        else:
            shown = ", ".join(peer.uris) or "no name" if peer else "no certificate"
            refusal = problem(
                403, "Forbidden", f"not admitted here: {shown}", trace_id=trace_id_of(scope["headers"])
            )
            await refusal(scope, receive, send)


def run(main: Coroutine[Any, Any, T], *, loop: Literal["uvloop", "asyncio"]) -> T:
    """Runs the coroutine `main` to its end on a new event loop of the kind `loop`; returns its result.

    asyncio's own suits a process that starts many others: uvloop 0.23 starts 370 a second, asyncio 1,400.
    """
    with asyncio.Runner(
        loop_factory=uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    ) as runner:
        return runner.run(main)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Yields an event that the first SIGTERM or SIGINT sets, so that the process can shut down cleanly.

    To be used in `with`. The second signal ends the process.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _bound(host: str, port: int) -> socket.socket:
    """Creates a listening socket that is bound to `host` and `port`.

    Raises `OSError`, where uvicorn 0.54 calls `sys.exit`.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


class _Server(uvicorn.Server):
    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.room = ConnectionRoom(config.limits.connections)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept connections, limiting their number and the time of TLS handshakes and shutdowns.

        uvicorn 0.54 limits none of these: a client that never answers close_notify would delay the end of the
        process.
        """
        config = self.config
        assert isinstance(config, ServerConfig)
        room = self.room
        acceptors = [
            Acceptor(
                listener,
                lambda refused: BoundedHttpProtocol(config, self.server_state, room, refused=refused),
                room,
                tls=config.ssl,
                handshake_seconds=config.limits.head_seconds,
                shutdown_seconds=TLS_SHUTDOWN_SECONDS,
            )
            for listener in sockets or ()
        ]
        for acceptor in acceptors:
            acceptor.start()
        self.servers = acceptors  # type: ignore[assignment]  # it has what uvicorn calls
        self.started = True
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signal handlers alone, where uvicorn would install its own; `stop_signals` installs ours."""
        yield
