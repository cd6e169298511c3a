"""The uvicorn protocol class that limits HTTP connections in bytes and seconds and identifies TLS clients.

uvicorn 0.54 keeps a request head of any size, waits without limit for a head or body that does not come and
for a client that does not read its answer, refuses in plain text, and does not put the client certificate of
a TLS connection into the ASGI scope. Its internals are subclassed here, so the lock pins it to a minor
version.
"""

import asyncio
import ssl
from functools import partial
from typing import Final

import msgspec
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from waypost.connections.connection_room import ConnectionRoom
from waypost.connections.tcp_progress import bytes_taken
from waypost.connections.tls_peer import peer_of
from waypost.problem_documents import http11_bytes, problem, refusing_app

FIELDS: Final = 100
"""The most header fields of a request, and of trailer fields behind a chunked body.

uvicorn 0.54 sets no limit, and each field takes 20 times the memory that it has bytes if it is short.
"""
PIPELINED: Final = 32
"""The most pipelined requests of a connection that wait for earlier answers; uvicorn 0.54 sets no limit."""
SEND_MINIMUM_BYTES: Final = 16_384
"""The least bytes of its answer that a client must read within `send_seconds`, or it is disconnected."""


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an HTTP server: bytes and seconds for each connection, and the number of connections."""

    head_bytes: int = 32_768
    """The most bytes of request line and header fields together; a request with more gets 431."""
    head_seconds: float = 10.0
    """The most seconds from a head's first byte, or the connection's start for its first head, to its end."""
    body_seconds: float = 30.0
    """The seconds after its head within which a body must be complete. Answers have no limit while read."""
    send_seconds: float = 30.0
    """The seconds after which a client that reads next to nothing of a waiting answer is disconnected."""
    keep_alive_seconds: int = 75
    """The seconds after which an idle connection is closed.

    Clients close theirs earlier; otherwise a request could meet a connection that is being closed.
    """
    connections: int = 10_000
    """The most open connections.

    For one more the oldest idle one is closed; where all are busy it gets 503.
    """
    grace_seconds: int = 5
    """The seconds that requests under way may take when the server stops; then they are aborted."""


class ServerConfig(uvicorn.Config):
    """The configuration of uvicorn, with our `limits` and the event `closing` added."""

    def __init__(
        self, app: ASGIApp, *, limits: ConnectionLimits, tls: ssl.SSLContext | None, closing: asyncio.Event
    ) -> None:
        self.limits, self.closing = limits, closing
        super().__init__(
            app,
            http=BoundedHttpProtocol,
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


class BoundedHttpProtocol(HttpToolsProtocol):
    """Serves one HTTP connection within limits of bytes and seconds; refuses with problem documents.

    Puts into the state of each request `peer` (`Peer` or None), `closing` (an event set when the server
    stops), `cut_off` (closes the connection at once, whatever waits to be read), and `set_unproven` (with
    True: the connection may be closed to make room for a new one although it is busy).
    """

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        room: ConnectionRoom,
        *,
        refused: bool = False,
    ) -> None:
        super().__init__(config, server_state, {})
        self._limits, self._closing = config.limits, config.closing
        self._room, self._refused = room, refused
        self._running: RequestResponseCycle | None = None
        self._reader_check: asyncio.TimerHandle | None = None
        self._chunk = self._head_seen = 0
        self._in_head, self._in_body, self._begun = True, False, False
        self._timer: asyncio.TimerHandle | None = None

    # The type of the parameter is as uvicorn declares it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {"peer": peer_of(transport), "closing": self._closing, "cut_off": self.cut_off}
        self.app_state["set_unproven"] = partial(self._room.set_unproven, self)
        self._timer = self.loop.call_later(self._limits.head_seconds, self.cut_off)
        self._room.open.add(self)
        (self._room.refused if self._refused else self._room.arriving)[self] = None
        if self._refused:
            self.app = refusing_app(503, "Overloaded", "too many connections", retryable=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.leave(self)
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self._reader_check is not None:
            self._reader_check.cancel()
        # uvicorn 0.54 tells the newest request alone that its client is gone. Smallest case: two requests in
        # one write, then a reset: the first goes on for ever.
        self._disconnect()
        super().connection_lost(exc)
        # These refer back to it, and would keep it and its TLS buffers until a full garbage collection.
        self.app_state, self._running = {}, None
        self.scope = self.cycle = None  # type: ignore[assignment]  # as uvicorn sets them at the start

    def cut_off(self) -> None:
        """Closes the connection at once, without sending what is buffered; ends the request under way."""
        self._disconnect()
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._room.stalled[self] = None
        self._check_reader_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._room.stalled.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._chunk, self._begun = len(data), False
        super().data_received(data)
        if self.transport.is_closing():
            return
        # A head that begins within `data` is counted in `on_headers_complete`: what stands before it is
        # another request.
        if self._in_head and not self._begun:
            self._head_seen += len(data)
        if self._in_head and self._head_seen > self._limits.head_bytes:
            self._refuse(problem(431, "HeadersTooLarge", f"over {self._limits.head_bytes} bytes", close=True))
        elif self._timer is None and self._in_head:
            self._timer = self.loop.call_later(self._limits.head_seconds, self.cut_off)
        elif self._timer is None and self._in_body:
            self._timer = self.loop.call_later(self._limits.body_seconds, self._body_is_late)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's text is not for clients
        if len(self.headers or ()) >= FIELDS:
            self._refuse(problem(431, "HeadersTooLarge", f"over {FIELDS} fields", close=True))
            return
        self._refuse(problem(400, "Malformed", "the request is not what HTTP looks like", close=True))

    def _body_is_late(self) -> None:
        late = f"the body was not there {self._limits.body_seconds:g} s after its head"
        self._refuse(problem(408, "BodyTimeout", late, retryable=True, close=True))

    def _refuse(self, response: Response) -> None:
        """Writes a refusal and closes the connection; aborts it if an earlier request awaits its answer."""
        cycle = self.cycle
        if self.pipeline or (
            cycle and not cycle.response_complete and (cycle.response_started or not cycle.more_body)
        ):
            self.transport.abort()
        else:
            self.transport.write(http11_bytes(response))
            self.transport.close()
            self._check_reader_later()

    def _unsupported_upgrade_warning(self) -> None:
        """Suppresses uvicorn's warning when a client asks for another protocol; HTTP/1.1 is spoken."""

    def shutdown(self) -> None:
        """Closes an idle connection when the server stops, where uvicorn 0.54 would wait for keep-alive."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._begun, self._head_seen = True, True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= FIELDS:
            # The parser stops here: what else has been read costs neither time nor memory.
            raise ValueError("too many header fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._stop_timer()
        self._room.arriving.pop(self, None)
        self._room.idle.pop(self, None)
        if len(self.pipeline) >= PIPELINED:
            # The parser stops here, and the connection is aborted: it owes answers to those before.
            raise ValueError("too many requests before the answer to the first")
        limit = self._limits.head_bytes
        if not (self._begun and self._chunk <= limit) and self._head_bytes() > limit:
            self.app = refusing_app(431, "HeadersTooLarge", f"over {limit} bytes")
        super().on_headers_complete()
        self.headers = []  # the request keeps its own list; trailers are read by nobody

    def on_message_complete(self) -> None:
        self._in_body = False
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._check_reader_later()
        elif self._running is not None and self._running.response_complete and not self._refused:
            self._room.idle[self] = None

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection; uvicorn 0.54 would wait for ever for a client that reads nothing."""
        super().timeout_keep_alive_handler()
        self._check_reader_later()

    # uvicorn has ASGI types of its own.
    def _start_asgi_task(  # type: ignore[override]
        self, cycle: RequestResponseCycle, app: ASGIApp
    ) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, _without_disconnects(app))  # type: ignore[arg-type]  # as above

    def _disconnect(self) -> None:
        for cycle in (self._running, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()

    def _check_reader_later(self) -> None:
        """Schedules a check in `send_seconds`: a client that took under `SEND_MINIMUM_BYTES` is cut off."""
        if self._reader_check is None:
            self._reader_check = self.loop.call_later(
                self._limits.send_seconds, self._check_reader, bytes_taken(self.transport)
            )

    def _check_reader(self, taken_before: int) -> None:
        self._reader_check = None
        if not (self.flow.write_paused or self.transport.is_closing()):
            return
        if bytes_taken(self.transport) - taken_before < SEND_MINIMUM_BYTES:
            self.cut_off()
        else:
            self._check_reader_later()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _without_disconnects(app: ASGIApp) -> ASGIApp:
    """Wraps an ASGI application so that a `ClientDisconnect` is dropped instead of logged with a trace."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ClientDisconnect:
            return

    return answer
