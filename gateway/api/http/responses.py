"""Responses that Starlette does not have: JSON by msgspec, and one that calls back when it is over."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

encode_json = msgspec.json.Encoder().encode


class JsonResponse(Response):
    """A response with `value` as its JSON body; `location` becomes its `Location` header.

    Writes its few headers itself, which is quicker than in Starlette: submissions are answered with it.
    """

    def __init__(self, value: Any, status: int = 200, *, location: str | None = None) -> None:
        self.status_code, self.body, self.background = status, encode_json(value), None
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"application/json"),
        ]
        if location is not None:
            self.raw_headers.append((b"location", location.encode()))


class ClosingResponse(Response):
    """Sends `response`, then calls `on_close`, also where the client was gone before the first byte.

    A background task of Starlette would not do: it does not run where the sending failed.
    """

    def __init__(self, response: Response, on_close: Callable[[], None]) -> None:
        self.status_code, self.raw_headers = response.status_code, response.raw_headers
        self._response, self._on_close = response, on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            self._on_close()
