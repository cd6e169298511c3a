"""Two HTTP response classes: `JsonResponse`, encoded by msgspec, and `ClosingResponse`, with a callback."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

encode_json = msgspec.json.Encoder().encode
END_SECONDS: Final = 1.0
"""The seconds that a client has to read the last chunk of a response that is cut short."""
PIECE_BYTES: Final = 65_536
"""The size in bytes of the pieces in which a large response body is sent, one after the other."""


class JsonResponse(Response):
    """An HTTP response with `value` as its JSON body, and optional `Location` and `ETag` headers.

    It writes its few headers itself, which is quicker than Starlette's way: submissions are answered with it.
    """

    def __init__(
        self, value: Any, status: int = 200, *, location: str | None = None, etag: str | None = None
    ) -> None:
        self.status_code, self.body, self.background = status, encode_json(value), None
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"application/json"),
        ]
        if location is not None:
            self.raw_headers.append((b"location", location.encode()))
        if etag is not None:
            self.raw_headers.append((b"etag", etag.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= PIECE_BYTES:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # Copies: a view of the body would keep all of it until the last piece has left the socket's buffer.
        for start in range(0, len(self.body), PIECE_BYTES):
            end = start + PIECE_BYTES
            more = end < len(self.body)
            await send({"type": "http.response.body", "body": bytes(self.body[start:end]), "more_body": more})


class ClosingResponse(Response):
    """An HTTP response that sends `response`, then calls `on_close`, even if the client has disconnected.

    After `seconds` the response ends, even if its client has not read it; None: no limit. A background task
    of Starlette would not do: it does not run where sending failed.
    """

    def __init__(
        self, response: Response, on_close: Callable[[], None], *, seconds: float | None = None
    ) -> None:
        self.status_code, self.raw_headers = response.status_code, response.raw_headers
        self._response, self._on_close, self._seconds = response, on_close, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                await self._response(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            # What is streamed may hold connections to a cluster, and is not closed by being cancelled.
            lines = getattr(self._response, "body_iterator", None)
            if isinstance(lines, AsyncGenerator):
                await lines.aclose()
            self._on_close()
        if limit.expired():
            await _end_response(scope, send)


async def _end_response(scope: Scope, send: Send) -> None:
    """Ends a response that took too long: sends its last chunk, or closes the connection if nobody reads."""
    try:
        async with asyncio.timeout(END_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        scope["state"]["cut_off"]()
