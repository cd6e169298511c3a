"""ASGI applications on sockets: several in one event loop, each with its limits, and an end that an open event stream cannot hold up.

uvicorn serves as a library here. It is kept from two habits: it would take the signals and raise them again, so that nothing after
`serve()` ever runs; and it believes forwarding headers from loopback. What one connection may do is in `protocol.py`.
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

from waypost.http_protocol import Config, Protocol
from waypost.http_protocol import Limits as Limits
from waypost.http_protocol import Peer as Peer
from waypost.problems import problem
from waypost.trace_context import trace_of

T = TypeVar("T")
FAREWELL_SECONDS: Final = 1.0


class Server:
    """One application on one address, listening for as long as the `async with` lasts.

    Each request's state holds `peer` (a `Peer`, or None without a client certificate) and `closing`, an `asyncio.Event`
    that is set as soon as the server stops: an endless answer ends when it is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.closing = asyncio.Event()
        self._host, self._port = host, port
        self._server = _Server(Config(app, limits=limits or Limits(), tls=tls, closing=self.closing))

    async def __aenter__(self) -> Self:
        """Listens. Raises `OSError` where the address cannot be had."""
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
        """Takes no more connections, ends streams, lets the rest finish within `grace_seconds`."""
        self.closing.set()
        self._server.should_exit = True
        await self._serving
        state = self._server.server_state
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Where it listens; once it does, the one that was found for 0."""
        return self._port


class AdmitPeers:
    """Lets through only clients whose certificate names one of `uris`; others get 403. `open_paths` are for all that TLS lets in."""

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
                403, "Forbidden", f"not admitted here: {shown}", trace_id=trace_of(scope["headers"])
            )
            await refusal(scope, receive, send)


def run(main: Coroutine[Any, Any, T], *, loop: Literal["uvloop", "asyncio"]) -> T:
    """Runs `main` on that kind of loop. A process that starts many others is quicker on asyncio's own."""
    with asyncio.Runner(
        loop_factory=uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    ) as runner:
        return runner.run(main)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets, so that what comes after waiting for it does run. The second signal ends the process."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def heard() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket's address is taken here, where failing is an `OSError`: uvicorn would exit."""
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
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, on sockets alone, and with bounds on both ends of TLS: else a client that answers no farewell holds the end up."""
        config, loop = self.config, asyncio.get_running_loop()
        assert isinstance(config, Config)
        hello, farewell = (config.limits.head_seconds, FAREWELL_SECONDS) if config.ssl else (None, None)
        try:
            self.servers = [
                await loop.create_server(
                    lambda: Protocol(config, self.server_state, {}, loop),
                    sock=listener,
                    ssl=config.ssl,
                    backlog=config.backlog,
                    ssl_handshake_timeout=hello,
                    ssl_shutdown_timeout=farewell,
                )
                for listener in sockets or ()
            ]
            self.started = True
        finally:
            self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The signals are the process's own."""
        yield
