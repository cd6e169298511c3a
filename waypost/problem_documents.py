"""Builds RFC 9457 problem documents (HTTP errors as JSON) and the HTTP responses that carry them."""

import random
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.json_pointer import FieldError
from waypost.tracing.headers import new_trace_id, trace_id_of, traceparent_header

MEDIA_TYPE: Final = "application/problem+json"


class ProblemDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457), with members of ours beside the standard ones.

    `reason` is CamelCase and stable; `retryable` says whether the same request may succeed later; `errors`
    point into the document that was sent.
    """

    type: str
    title: str
    status: int
    detail: str
    reason: str
    retryable: bool
    trace_id: str
    errors: tuple[FieldError, ...] = ()


def problem_type(reason: str) -> str:
    """Returns the URI that identifies a kind of problem, the `type` of a problem document."""
    return f"urn:waypost:problem:{reason}"


def response(document: ProblemDocument, headers: Mapping[str, str] | None = None) -> Response:
    """Returns the HTTP response that has the problem document `document` as its body."""
    return Response(msgspec.json.encode(document), document.status, headers, media_type=MEDIA_TYPE)


def problem(
    status: int,
    reason: str,
    detail: str = "",
    *,
    retryable: bool = False,
    errors: Collection[FieldError] = (),
    close: bool = False,
    trace_id: str | None = None,
) -> Response:
    """Builds the HTTP response that refuses a request by a problem document, with a `traceparent` header.

    Where `trace_id` is None, the trace is new. `close` ends the connection after the response. Where
    `retryable`, it carries a `Retry-After` of 1 to 3 seconds at random, so that clients do not come back
    together.
    """
    document = ProblemDocument(
        type=problem_type(reason),
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail or HTTPStatus(status).description,
        reason=reason,
        retryable=retryable,
        trace_id=trace_id or new_trace_id(),
        errors=tuple(errors),
    )
    answer = response(document)
    answer.raw_headers.append(traceparent_header(document.trace_id))
    if close:
        answer.headers["connection"] = "close"
    if retryable:
        # Spreads clients and keeps no secret.
        answer.headers["retry-after"] = str(random.randint(1, 3))  # noqa: S311
    return answer


def refusing_app(status: int, reason: str, detail: str, *, retryable: bool = False) -> ASGIApp:
    """Returns an ASGI application that answers every request with one problem and closes the connection."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        response = problem(
            status, reason, detail, retryable=retryable, close=True, trace_id=trace_id_of(scope["headers"])
        )
        await response(scope, receive, send)

    return refuse


def http11_bytes(response: Response) -> bytes:
    """Serializes a response as HTTP/1.1 bytes, for refusals written without any ASGI application."""
    lines = [b"HTTP/1.1 %d %b" % (response.status_code, HTTPStatus(response.status_code).phrase.encode())]
    return b"\r\n".join(
        [*lines, *(b"%b: %b" % header for header in response.raw_headers), b"", bytes(response.body)]
    )
