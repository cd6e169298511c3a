"""ASGI applications on sockets: several in one event loop, each with its limits, and an end that an open event stream cannot hold up.

uvicorn serves as a library here. It is kept from three habits: it would take the signals and raise them again, so that nothing after
`serve()` ever runs; it believes forwarding headers from loopback; and it lets a request's head grow without bound. What it does not tell an
application, who is at the other end of a mutual TLS connection, is added to each request's state.
"""

import asyncio
import base64
import hashlib
import signal
import socket
import ssl
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, Self, TypeVar

import msgspec
import uvicorn
import uvloop
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

T = TypeVar("T")
PROBLEM: Final = "application/problem+json"
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
FAREWELL_SECONDS: Final = 1.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one server lets its clients do."""

    head_bytes: int = 32_768
    """Request line and header fields together; more is a 431."""

    head_seconds: float = 10.0
    """A new connection must have sent the head of its first request within so long, and a begun head must be complete."""

    keep_alive_seconds: int = 75
    """An idle connection stays open for so long. Longer than clients keep theirs, or a request would meet a closing connection."""

    connections: int = 10_000
    """Above it, 503 and the connection is closed."""

    grace_seconds: int = 5
    """What is under way when the server stops may take so long; then it is cut off."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end of a mutual TLS connection: the URIs in the verified certificate's SAN, and its SHA-256 as in RFC 8705."""

    uris: tuple[str, ...]
    thumbprint: str


class Server:
    """One application on one address, listening for as long as the `async with` lasts.

    Each request's state holds `peer` (a `Peer`, or None without a client certificate) and `closing`, an `asyncio.Event`
    that is set as soon as the server stops: an endless answer ends when it is.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int, tls: ssl.SSLContext | None = None, limits: Limits | None = None) -> None:
        self.closing = asyncio.Event()
        self._host, self._port = host, port
        self._server = _Server(_Config(app, limits=limits or Limits(), tls=tls, closing=self.closing))

    async def __aenter__(self) -> Self:
        """Listens. Raises `OSError` where the address cannot be had."""
        listener = _bound(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve([listener]), name=f"serve {self._host}:{self._port}")
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
            await problem(403, "Forbidden", f"not admitted here: {shown}")(scope, receive, send)


def problem(
    status: int, reason: str, detail: str = "", *, retryable: bool = False, pointers: Collection[tuple[str, str]] = (), close: bool = False
) -> Response:
    """RFC 9457, plus our `reason`, `retryable` and, where there are (pointer, detail) pairs, `errors`."""
    content: dict[str, Any] = {"type": "about:blank", "title": reason, "status": status, "reason": reason, "retryable": retryable}
    if detail:
        content["detail"] = detail
    if pointers:
        content["errors"] = [{"pointer": pointer, "detail": text} for pointer, text in pointers]
    headers = {"connection": "close"} if close else None
    return Response(msgspec.json.encode(content), status, headers, media_type=PROBLEM)


def run(main: Coroutine[Any, Any, T], *, loop: Literal["uvloop", "asyncio"]) -> T:
    """Runs `main` on that kind of loop. A process that starts many others is quicker on asyncio's own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop) as runner:
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
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


class _Config(uvicorn.Config):
    def __init__(self, app: ASGIApp, *, limits: Limits, tls: ssl.SSLContext | None, closing: asyncio.Event) -> None:
        self.limits, self.closing = limits, closing
        super().__init__(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=limits.grace_seconds,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )


class _Server(uvicorn.Server):
    def __init__(self, config: _Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, on sockets alone, and with bounds on both ends of TLS: else a client that answers no farewell holds the end up."""
        config, loop = self.config, asyncio.get_running_loop()
        assert isinstance(config, _Config)
        hello, farewell = (config.limits.head_seconds, FAREWELL_SECONDS) if config.ssl else (None, None)
        try:
            self.servers = [
                await loop.create_server(
                    lambda: _Protocol(config, self.server_state, {}, loop),
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


class _Protocol(HttpToolsProtocol):
    """Bounds the head of a request, in bytes and in seconds, and puts `peer` and `closing` into its state."""

    def __init__(
        self, config: _Config, server_state: ServerState, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits, self._closing = config.limits, config.closing
        self._chunk = self._head_seen = 0
        self._in_head, self._begun = True, False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": _peer(transport), "closing": self._closing}
        self._head_timer = self.loop.call_later(self._limits.head_seconds, transport.abort)
        if len(self.connections) > self._limits.connections:
            self.app = problem(503, "Overloaded", "too many connections", retryable=True, close=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._chunk, self._begun = len(data), False
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if not self._begun:  # then all of `data` belongs to the head
            self._head_seen += len(data)
        if self._head_seen > self._limits.head_bytes:
            self.transport.write(TOO_LARGE)
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self.transport.abort)

    def shutdown(self) -> None:
        """An idle connection ends at once."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._begun, self._head_seen = True, True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        limit = self._limits.head_bytes
        if not (self._begun and self._chunk <= limit) and self._head_bytes() > limit:
            self.app = problem(431, "HeadTooLarge", f"over {limit} bytes", close=True)
        super().on_headers_complete()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _peer(transport: asyncio.Transport) -> Peer | None:
    connection = transport.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True) if connection is not None else None
    if shown is None:
        return None
    names = (connection.getpeercert() or {}).get("subjectAltName", ())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(shown).digest()).rstrip(b"=").decode()
    return Peer(uris=tuple(value for kind, value in names if kind == "URI"), thumbprint=thumbprint)
