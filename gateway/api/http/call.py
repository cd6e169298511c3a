"""`Call`, one HTTP request to the API as its handler receives it: with caller, query and services."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gateway.api.http.query import Query
from gateway.api.http.services import Services
from gateway.core.decision import Action, Question
from gateway.core.errors import Malformed, TooLarge, UnsupportedMediaType
from gateway.core.principal import Principal
from observability.spans.call_trace import CallTrace
from waypost.cancellation import cancel_and_wait
from waypost.tracing.context import TraceContext
from waypost.turns import Turn, Turns

STREAM_SECONDS_MINIMUM: Final = 1.0


def caller_fields(principal: Principal) -> dict[str, str]:
    """Returns the caller's subject, tenant, issuer and client as log fields, without the empty ones."""
    fields = {
        "subject": principal.subject,
        "tenant": principal.tenant,
        "issuer": principal.issuer,
        "client": principal.client,
    }
    return {name: value for name, value in fields.items() if value}


@dataclass(kw_only=True, slots=True, repr=False)
class Call:
    """One HTTP request to the API, as its handler receives it: with caller, query, trace and services.

    `at` is the request's arrival, in wall-clock seconds since 1970. `outcome` is the metric label that the
    request is counted under; a handler may set a finer one than `Ok`.
    """

    services: Services
    scope: Scope
    receive: Receive
    principal: Principal
    query: Query
    trace: CallTrace
    at: float
    log_fields: dict[str, str] = field(default_factory=dict)
    """The log fields of this request: who called, and which run, region or document the request is about."""
    began: float = field(default_factory=time.perf_counter)
    """The time at which the caller was authenticated, by the performance counter."""
    sheds: bool = True
    outcome: str = "Ok"
    headers: dict[bytes, bytes] = field(init=False)
    token_ends_at: float = field(init=False)
    """The monotonic time at which the caller's token expires; setting the wall clock does not change it."""

    def __post_init__(self) -> None:
        self.headers = dict(self.scope["headers"])
        # By the clock that the token was accepted by, which may have been set since the gateway was started.
        left = self.principal.expires_at - self.services.wall_clock()
        self.token_ends_at = time.monotonic() + left

    def __repr__(self) -> str:
        # written by hand: the fields hold the caller's token
        method, path = self.scope.get("method", "-"), self.scope.get("path", "-")
        return f"<Call {method} {path} of tenant {self.principal.tenant}, trace {self.trace_id}>"

    @property
    def span(self) -> TraceContext:
        """The span of the request, in the caller's trace or a new one."""
        return self.trace.context

    @property
    def trace_id(self) -> str:
        """The id of the trace that the request belongs to."""
        return self.trace.context.trace_id

    @property
    def path_parameters(self) -> Mapping[str, str]:
        """The path parameters of the request, such as the `id` of a run, by name."""
        return self.scope["path_params"]  # type: ignore[no-any-return] # ASGI scopes are untyped

    def question(
        self, action: Action, *, workflow: bytes | None = None, context: Mapping[str, Any] | None = None
    ) -> Question:
        """Builds the policy query for this request: may the caller do `action`?"""
        return Question(
            action=action,
            principal=self.principal,
            at=self.at,
            workflow=workflow,
            context={} if context is None else dict(context),
            trace_id=self.trace_id,
        )

    def end_step(self, step: str, began: float) -> float:
        """Records a step of the request that has ended now, for metric and trace; returns the time.

        Times are by the performance counter.
        """
        ended = time.perf_counter()
        self.services.metrics.observe_step(step, ended - began)
        self.trace.steps.append((step, began, ended))
        return ended

    def log_act(self, act: str, decision_id: str) -> None:
        """Logs an action of the caller: who acted, what was done, and which policy decision allowed it."""
        self.trace.decision_id = decision_id
        logger.bind(**self.log_fields, trace_id=self.trace_id, decision_id=decision_id).info(
            "{} by {}", act, self.principal.subject
        )

    def header(self, name: bytes) -> str | None:
        """Returns the request header `name` (in lower case); None if absent.

        Raises `Malformed` if repeated.
        """
        # The dict keeps the last of several: only where it has fewer than were sent are they counted.
        if (
            len(self.headers) < len(self.scope["headers"])
            and sum(key == name for key, _ in self.scope["headers"]) > 1
        ):
            raise Malformed(f"several {name.decode()} headers")
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Reads and returns the request body.

        Raises `TooLarge` for more than `limit` bytes, `UnsupportedMediaType` for a content encoding,
        `TooManyRequests` or `Unavailable` where too many bytes of request bodies are arriving already, and
        `ClientDisconnect` where the client disconnects before the end.
        """
        if (self.header(b"content-encoding") or "identity").lower() != "identity":
            raise UnsupportedMediaType("send the body without a content encoding")
        # An announced length is refused before anything is read. Its digits are counted first: int() of
        # thousands of them is slow, or raises.
        if len(length := self.header(b"content-length") or "") > len(str(limit)) or (
            length.isdigit() and int(length) > limit
        ):
            raise TooLarge(f"the body has more than the {limit} bytes that are allowed")
        body, more = await self._receive_chunk()
        if more:
            body = await self._receive_rest(body, limit)
        if len(body) > limit:
            raise TooLarge(f"the body has more than the {limit} bytes that are allowed")
        return body

    async def _receive_rest(self, body: bytes, limit: int) -> bytes:
        """Receives the request body after its first part `body`; stops after more than `limit` bytes."""
        more, chunks = True, bytearray(body)
        limits, unfinished = self.services.settings.requests, self.services.unfinished
        with unfinished.receive(self.principal.tenant, limits) as received:
            received.add(len(body))
            # A chunked body announces no length: the limit must hold while reading.
            while more and len(chunks) <= limit:
                chunk, more = await self._receive_chunk()
                received.add(len(chunk))
                chunks += chunk
        return bytes(chunks)

    async def _receive_chunk(self) -> tuple[bytes, bool]:
        """Receives the next part of the request body; returns it, and whether more follows."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message.get("body", b""), message.get("more_body", False)

    def turn(self, places: Turns | None = None, *, wait_seconds: float | None = None) -> Turn:
        """Returns an async context that waits for one of the `places`, and holds it until the context ends.

        Tenants are served in turn. By default `places` are those for the handling of requests. Entering
        raises `NoTurn` if no place was free within `wait_seconds` (by default the setting
        `tenants.request_wait_seconds`), unless `sheds` is False: then it waits without limit.
        """
        wait = wait_seconds or self.services.settings.tenants.request_wait_seconds if self.sheds else None
        return (places or self.services.turns).turn(self.principal.tenant, wait)

    @asynccontextmanager
    async def large_answer(self) -> AsyncIterator[None]:
        """Opens a context in which the handler builds one large response; tenants take turns at this.

        Raises `TooManyRequests` or `Unavailable` where too many bytes of large responses are unread.
        """
        async with self.turn(self.services.large_answers):
            self.services.unread.check(self.principal.tenant, self.services.settings.requests)
            yield

    @property
    def seconds_left(self) -> float:
        """The seconds until the caller's token expires, but at least `STREAM_SECONDS_MINIMUM`."""
        return max(STREAM_SECONDS_MINIMUM, self.token_ends_at - time.monotonic())

    async def wait_for_change(self, changed: asyncio.Event) -> bool:
        """Waits until `changed` is set, the server stops, or the caller's token expires.

        Returns True if `changed` is set and the server runs on; False: the handler must end its stream.
        """
        closing: asyncio.Event = self.scope.get("state", {}).get("closing") or asyncio.Event()
        waits = [asyncio.create_task(event.wait()) for event in (changed, closing)]
        try:
            await asyncio.wait(
                waits,
                timeout=max(0.0, self.token_ends_at - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            await cancel_and_wait(waits)
        return changed.is_set() and not closing.is_set()
