"""Between HTTP and plain values: one call at a time, authenticated unless it says otherwise, and every failure as a problem document."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from loguru import logger
from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clusters.interface import ClusterAdapter
from gateway.api.event_feed import Following
from gateway.api.problems import problem, tell, unexpected
from gateway.core.errors import (
    GatewayError,
    Malformed,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)
from gateway.core.principal import Principal
from gateway.documents.checks import Executors
from gateway.identity.interface import Authenticator
from gateway.policy.interface import PolicyEngine
from gateway.regions.region_view import RegionView
from gateway.settings import GatewaySettings
from gateway.store.interface import Store
from gateway.submission.authenticate import authenticate
from observability.logs import LogRateLimiter
from observability.metrics import Metrics
from waypost.trace_context import trace_id_of, traceparent_header

NOBODY: Final = Principal(subject="", issuer="", tenant="")
"""Who calls what needs no token."""

encode = msgspec.json.Encoder().encode


class Front(Struct, frozen=True, kw_only=True):
    """All that the calls stand on. `regions` is the controller's newest view, `cut_off` whether it looks at itself instead (see
    `gateway/regions/blackout_guard.py`), `clusters` are for logs."""

    settings: GatewaySettings
    authenticator: Authenticator
    policy: PolicyEngine
    store: Store
    metrics: Metrics
    executors: Executors
    regions: Callable[[], Sequence[RegionView]]
    clusters: Mapping[str, ClusterAdapter]
    cut_off: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.time
    following: Following = msgspec.field(default_factory=Following)
    refusals: LogRateLimiter = msgspec.field(default_factory=LogRateLimiter)


@dataclass(kw_only=True, slots=True)
class Call:
    """One request. `outcome` is what is counted: the call may say more than that it went well."""

    front: Front
    scope: Scope
    receive: Receive
    principal: Principal
    trace_id: str
    at: float
    query: dict[str, list[str]]
    outcome: str = "Ok"
    headers: dict[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = dict(self.scope["headers"])

    @property
    def path(self) -> Mapping[str, str]:
        return self.scope["path_params"]  # type: ignore[no-any-return] # ASGI scopes are untyped

    def header(self, name: bytes) -> str | None:
        """The one header of that (lower-case) name. Raises `Malformed` for several."""
        if (
            len(self.headers) < len(self.scope["headers"])
            and sum(key == name for key, _ in self.scope["headers"]) > 1
        ):
            raise Malformed(f"several {name.decode()} headers")
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def asked(self, name: str) -> str | None:
        """The value of a query parameter. Raises `Malformed` where it is given twice."""
        values = self.query.get(name, [])
        if len(values) > 1:
            raise Malformed(f"the query parameter {name} is given {len(values)} times")
        return values[0] if values else None

    def number(self, name: str, *, default: int, minimum: int, maximum: int) -> int:
        text = self.asked(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19 and minimum <= int(text) <= maximum):
            raise Malformed(f"the query parameter {name} is a number from {minimum} to {maximum}")
        return int(text)

    def flag(self, name: str) -> bool:
        text = self.asked(name)
        if text not in (None, "true", "false"):
            raise Malformed(f"the query parameter {name} is true or false")
        return text == "true"

    async def woken(self, changed: asyncio.Event) -> bool:
        """Waits for a change; False where the stream is to end: the server stops, or the caller's token has run out."""
        closing: asyncio.Event = self.scope.get("state", {}).get("closing") or asyncio.Event()
        waits = [asyncio.create_task(event.wait()) for event in (changed, closing)]
        try:
            await asyncio.wait(
                waits,
                timeout=max(0.0, self.principal.expires_at - self.front.clock()),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for wait in waits:
                wait.cancel()
        return changed.is_set() and not closing.is_set()

    async def body(self, limit: int) -> bytes:
        """The body, never more than `limit` bytes of it. Raises `TooLarge` or `UnsupportedMediaType`."""
        if (self.header(b"content-encoding") or "identity").lower() != "identity":
            raise UnsupportedMediaType("send the body without a content encoding")
        if len(length := self.header(b"content-length") or "") > len(str(limit)) or (
            length.isdigit() and int(length) > limit
        ):
            raise TooLarge(f"the body has more than the {limit} bytes that are allowed")
        body, more = b"", True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk, more = message.get("body", b""), message.get("more_body", False)
            body = body + chunk if body else chunk
            if len(body) > limit:
                raise TooLarge(f"the body has more than the {limit} bytes that are allowed")
        return body


Handler = Callable[[Call], Awaitable[Response]]


class Operation(Struct, frozen=True, kw_only=True):
    """What one method of one path does, and which query parameters it takes. `open`: no token is asked for."""

    handler: Handler
    query: frozenset[str] = frozenset()
    open: bool = False

    @property
    def name(self) -> str:
        return str(getattr(self.handler, "__name__", "call"))


@dataclass(kw_only=True, slots=True)
class Resource:
    """A path as an ASGI application: its operations by method. Nothing that a caller sends gets past it as an exception."""

    front: Front
    operations: Mapping[str, Operation]
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {method: operation.name for method, operation in self.operations.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        trace_id = trace_id_of(scope["headers"])
        outcome = "Internal"
        try:
            response, outcome = await self._answer(method, scope, receive, trace_id)
        except GatewayError as error:
            outcome = error.reason
            tell(error, self.names.get(method, "none"), trace_id, self.front.refusals)
            response = self._refusal(error, scope, trace_id)
        except ClientDisconnect:
            return
        except Exception:
            logger.opt(exception=True).error(
                "unexpected failure of {} {}, trace {}", method, self.names.get(method), trace_id
            )
            response = unexpected(trace_id)
        self.front.metrics.count_request(self.names.get(method, "none"), outcome)
        response.raw_headers.append(traceparent_header(trace_id))
        await response(scope, receive, send)

    async def _answer(
        self, method: str, scope: Scope, receive: Receive, trace_id: str
    ) -> tuple[Response, str]:
        operation = self.operations.get(method)
        if operation is None:
            raise MethodNotAllowed(f"{scope['method']} is not for this path")
        front = self.front
        principal = NOBODY
        if not operation.open:
            peer = scope.get("state", {}).get("peer")
            principal = await authenticate(
                scope["headers"],
                scope["query_string"],
                peer and peer.thumbprint,
                authenticator=front.authenticator,
            )
        query = parse_query(scope["query_string"], operation.query) if scope["query_string"] else {}
        call = Call(
            front=front,
            scope=scope,
            receive=receive,
            principal=principal,
            trace_id=trace_id,
            at=front.clock(),
            query=query,
        )
        response = await operation.handler(call)
        return response, call.outcome

    def _refusal(self, error: GatewayError, scope: Scope, trace_id: str) -> Response:
        bearer = any(name == b"authorization" for name, _ in scope["headers"])
        response = problem(
            error,
            trace_id,
            bearer=bearer,
            retry_after_seconds=self.front.settings.requests.retry_after_seconds,
        )
        if isinstance(error, MethodNotAllowed):
            response.headers["allow"] = ", ".join(
                sorted({*self.operations, *(["HEAD"] if "GET" in self.operations else [])})
            )
        return response


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """The application for every path that is not there."""
    trace_id = trace_id_of(scope["headers"])
    response = problem(
        NotFound("there is no such path: /openapi.json describes those that are"),
        trace_id,
        bearer=False,
        retry_after_seconds=0,
    )
    response.raw_headers.append(traceparent_header(trace_id))
    await response(scope, receive, send)


class Reply(Response):
    """`value` as JSON. Writes its few headers itself: for the hot path."""

    def __init__(self, value: Any, status: int = 200, *, location: str | None = None) -> None:
        self.status_code, self.body, self.background = status, encode(value), None
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"application/json"),
        ]
        if location is not None:
            self.raw_headers.append((b"location", location.encode()))


def parse_query(query: bytes, known: frozenset[str]) -> dict[str, list[str]]:
    """The parameters by name. Raises `Malformed` for one that this call does not take: a misspelt filter must not widen an answer."""
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=50,
        )
    except (ValueError, UnicodeError) as error:
        raise Malformed("the query is not what a query looks like") from error
    for name, value in pairs:
        if name not in known:
            raise Malformed(
                f"there is no query parameter {name[:50]!r} here"
                + (f"; there are {', '.join(sorted(known))}" if known else "")
            )
        found.setdefault(name, []).append(value)
    return found
