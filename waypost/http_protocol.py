"""What one HTTP connection may do, and who is at its other end.

uvicorn lets the head of a request grow without bound, waits for ever for what does not come, refuses in plain text, and does not tell an
application whose certificate a mutual TLS connection has.
"""

import asyncio
import base64
import hashlib
import ssl
from typing import Any, Final

import msgspec
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from waypost.problems import on_the_wire, problem, refusing

TRAILERS: Final = 100
"""Fields behind a chunked body; uvicorn would keep any number."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one server lets its clients do."""

    head_bytes: int = 32_768
    """Request line and header fields together; more is a 431."""

    head_seconds: float = 10.0
    """A new connection must have sent the head of its first request within so long, and a begun head must be complete."""

    body_seconds: float = 30.0
    """A body must be complete so long after its head. An answer may take as long as it takes."""

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


class Config(uvicorn.Config):
    """uvicorn's settings with ours beside them."""

    def __init__(
        self, app: ASGIApp, *, limits: Limits, tls: ssl.SSLContext | None, closing: asyncio.Event
    ) -> None:
        self.limits, self.closing = limits, closing
        super().__init__(
            app,
            http=Protocol,
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


class Protocol(HttpToolsProtocol):
    """Bounds a request, in bytes and in seconds, refuses in problem documents, and puts `peer` and `closing` into the request's state."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits, self._closing = config.limits, config.closing
        self._chunk = self._head_seen = 0
        self._in_head, self._in_body, self._begun = True, False, False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": _peer(transport), "closing": self._closing}
        self._timer = self.loop.call_later(self._limits.head_seconds, transport.abort)
        if len(self.connections) > self._limits.connections:
            self.app = refusing(503, "Overloaded", "too many connections", retryable=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._chunk, self._begun = len(data), False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_body and len(self.headers) > TRAILERS:
            self.transport.abort()
            return
        if self._in_head and not self._begun:  # then all of `data` belongs to the head
            self._head_seen += len(data)
        if self._in_head and self._head_seen > self._limits.head_bytes:
            self._refuse(problem(431, "HeadersTooLarge", f"over {self._limits.head_bytes} bytes", close=True))
        elif self._timer is None and self._in_head:
            self._timer = self.loop.call_later(self._limits.head_seconds, self.transport.abort)
        elif self._timer is None and self._in_body:
            self._timer = self.loop.call_later(self._limits.body_seconds, self._body_is_late)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words
        self._refuse(problem(400, "Malformed", "the request is not what HTTP looks like", close=True))

    def _body_is_late(self) -> None:
        late = f"the body was not there {self._limits.body_seconds:g} s after its head"
        self._refuse(problem(408, "BodyTimeout", late, retryable=True, close=True))

    def _refuse(self, response: Response) -> None:
        """Answers in the application's place, and closes. Where the application's answer is owed or under way, it only closes."""
        cycle = self.cycle
        if self.pipeline or (
            cycle and not cycle.response_complete and (cycle.response_started or not cycle.more_body)
        ):
            self.transport.abort()
        else:
            self.transport.write(on_the_wire(response))
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Whoever wants another protocol is answered in this one. That is no news."""

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
        self._in_head, self._in_body = False, True
        self._stop_timer()
        limit = self._limits.head_bytes
        if not (self._begun and self._chunk <= limit) and self._head_bytes() > limit:
            self.app = refusing(431, "HeadersTooLarge", f"over {limit} bytes")
        super().on_headers_complete()
        self.headers = []  # the request has its own: what comes behind a chunked body is read by nobody

    def on_message_complete(self) -> None:
        self._in_body = False
        self._stop_timer()
        super().on_message_complete()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _peer(transport: asyncio.Transport) -> Peer | None:
    connection = transport.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True) if connection is not None else None
    if shown is None:
        return None
    names = (connection.getpeercert() or {}).get("subjectAltName", ())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(shown).digest()).rstrip(b"=").decode()
    return Peer(uris=tuple(value for kind, value in names if kind == "URI"), thumbprint=thumbprint)
