"""Refusals below the application: problem documents (RFC 9457) of the server itself, and of a cluster."""

import random
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.trace_context import new_trace, trace_of, traceparent

PROBLEM: Final = "application/problem+json"


def problem(
    status: int,
    reason: str,
    detail: str = "",
    *,
    retryable: bool = False,
    pointers: Collection[tuple[str, str]] = (),
    close: bool = False,
    trace_id: str | None = None,
) -> Response:
    """RFC 9457, plus our `reason`, `retryable`, `trace_id` (a new one where none is known) and, of (pointer, detail) pairs, `errors`."""
    trace_id = trace_id or new_trace()
    content: dict[str, Any] = {
        "type": f"urn:waypost:problem:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    content |= {"reason": reason, "retryable": retryable, "trace_id": trace_id}
    if detail:
        content["detail"] = detail
    if pointers:
        content["errors"] = [{"pointer": pointer, "detail": text} for pointer, text in pointers]
    response = Response(msgspec.json.encode(content), status, media_type=PROBLEM)
    response.raw_headers.append(traceparent(trace_id))
    if close:
        response.headers["connection"] = "close"
    if retryable:
        response.headers["retry-after"] = str(random.randint(1, 3))  # noqa: S311  # spreads clients, keeps no secret
    return response


def refusing(status: int, reason: str, detail: str, *, retryable: bool = False) -> ASGIApp:
    """An application that answers everything so, and closes the connection."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        response = problem(
            status, reason, detail, retryable=retryable, close=True, trace_id=trace_of(scope["headers"])
        )
        await response(scope, receive, send)

    return refuse


def on_the_wire(response: Response) -> bytes:
    """The answer as HTTP/1.1 writes it, for where there is no application that could send it."""
    lines = [b"HTTP/1.1 %d %b" % (response.status_code, HTTPStatus(response.status_code).phrase.encode())]
    return b"\r\n".join(
        [*lines, *(b"%b: %b" % header for header in response.raw_headers), b"", bytes(response.body)]
    )
