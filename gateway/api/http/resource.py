"""`Resource`, one path of the API as an ASGI application: authenticates, calls the handler, sends errors."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from loguru import logger
from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.http.call import Call, caller_fields
from gateway.api.http.problems import internal_error, log_refusal, refusal
from gateway.api.http.query import parse_query
from gateway.api.http.responses import PIECE_BYTES, ClosingResponse
from gateway.api.http.services import Services
from gateway.core.errors import GatewayError, MethodNotAllowed, NotFound, TooManyRequests, Unavailable
from gateway.core.principal import Principal
from gateway.submission.authenticate import authenticate
from observability.spans.builders import call_spans
from observability.spans.call_trace import CallTrace
from waypost.tracing.headers import caller_span, request_span, trace_id_of, traceparent_header
from waypost.turns import NoTurn, turn_key

ANONYMOUS: Final = Principal(subject="", issuer="", tenant="")
"""The principal of calls to operations that need no token."""
NO_OPERATION: Final = "none"
"""The metric label of a request whose method the path does not have."""

PATH_FIELDS: Final[Mapping[str, str]] = {"id": "run"}
"""The log field names of path parameters that have another name in logs."""

ABOUT: Final = frozenset({"run", "region"})
"""The log fields that are attributes of a call's span too."""

Handler = Callable[[Call], Awaitable[Response]]


class Operation(Struct, frozen=True, kw_only=True):
    """One operation of the API: an HTTP method of a path, with its handler. `public`: it needs no token."""

    handler: Handler
    query_parameters: frozenset[str] = frozenset()
    public: bool = False
    takes_turn: bool = True
    """Whether requests are handled in their tenant's turn; False if they wait for a body or a region."""
    sheds: bool = True
    """Whether requests may be refused under load, and count for the rate limit; False for cancellations."""

    @property
    def name(self) -> str:
        """The handler function's name: `operationId` in the OpenAPI document, and a label in metrics."""
        return str(getattr(self.handler, "__name__", "call"))


@dataclass(kw_only=True, slots=True)
class Resource:
    """One path of the API as an ASGI application, with its operations by HTTP method.

    It sends an error response for whatever a handler raises, and itself raises nothing.
    """

    services: Services
    operations: Mapping[str, Operation]
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {method: operation.name for method, operation in self.operations.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        name = self.names.get(method, NO_OPERATION)
        fresh_flags = 0 if self.services.spans is None else self.services.spans.fresh_flags()
        trace = CallTrace(request_span(caller_span(scope["headers"]), fresh_flags=fresh_flags))
        trace_id = trace.context.trace_id
        # What the path names: `id` of a run, or `region`.
        fields = {PATH_FIELDS.get(key, key): value for key, value in scope.get("path_params", {}).items()}
        try:
            response, outcome = await self._respond(method, scope, receive, trace, fields)
        except GatewayError as error:
            outcome, trace.decision_id = error.reason, error.decision_id or ""
            log_refusal(error, name, trace_id, self.services.rejections, fields)
            response = self._refusal(error, scope, trace_id)
        except ClientDisconnect:
            # Nobody is there to answer; and what was never sent whole is no request to count.
            return
        except Exception:
            outcome = "Internal"
            # The traceback is for the log alone: an error's message may hold what callers must not see.
            logger.bind(**fields, trace_id=trace_id).opt(exception=True).error(
                "unexpected failure of {} {}, trace {}", method, self.names.get(method), trace_id
            )
            response = internal_error(trace_id)
        ended = perf_counter()
        self.services.metrics.count_request(name, outcome, ended - began, trace_id)
        if self.services.spans is not None and trace.context.sampled:
            failed, offset = response.status_code >= 500, self.services.clock() - ended
            # A path that names nothing may be anything.
            about = {key: fields[key] for key in ABOUT & fields.keys()} if response.status_code < 400 else {}
            times = {"began": began, "ended": ended, "clock_offset": offset}
            self.services.spans.record(*call_spans(trace, name, outcome, failed=failed, about=about, **times))
        response.raw_headers.append((b"traceparent", trace.context.traceparent.encode()))
        await response(scope, receive, send)

    async def _respond(
        self, method: str, scope: Scope, receive: Receive, trace: CallTrace, fields: dict[str, str]
    ) -> tuple[Response, str]:
        """Authenticates the caller and calls the handler; returns the response, and the outcome to count.

        Adds to `fields`, the fields of log lines, what it finds out about the request.
        """
        operation = self.operations.get(method)
        if operation is None or operation.public:
            with UnauthenticatedConnection(scope):
                await self.services.unknown_callers.wait(_address(scope))
        if operation is None:
            raise MethodNotAllowed(f"{scope['method']} is not for this path")
        principal = ANONYMOUS if operation.public else await self._authenticate(scope, operation.sheds, trace)
        fields |= caller_fields(principal)
        call = Call(
            services=self.services,
            scope=scope,
            receive=receive,
            principal=principal,
            # After authentication: who has no token does not learn which parameters there are.
            query=parse_query(scope["query_string"], operation.query_parameters),
            trace=trace,
            at=self.services.clock(),
            log_fields=fields,
            sheds=operation.sheds,
        )
        if operation.public:
            return await operation.handler(call), call.outcome
        return self._count_unread(await self._handle(operation, call), principal.tenant), call.outcome

    async def _handle(self, operation: Operation, call: Call) -> Response:
        """Calls the handler under the rate limit of the caller's tenant, and in the tenant's turn.

        Raises `TooManyRequests` over the rate limit, and `Unavailable` if no turn comes in time.
        """
        principal = call.principal
        # What is read for the call is read in the tenant's turn.
        turn_key.set(principal.tenant)
        if operation.sheds and (seconds := self.services.rates.take(principal.tenant)):
            raise TooManyRequests("your tenant makes more requests than it may", retry_after_seconds=seconds)
        try:
            if not operation.takes_turn:
                return await operation.handler(call)
            async with call.turn():
                return await operation.handler(call)
        except NoTurn as error:
            raise Unavailable("more is asked than can be handled now: try again later") from error

    def _count_unread(self, response: Response, tenant: str) -> Response:
        """Returns `response`, changed so that a large body counts as unread by the tenant until it is sent.

        Raises `TooManyRequests` or `Unavailable` where too many bytes are unread already.
        """
        size = len(getattr(response, "body", b""))
        if size <= PIECE_BYTES:
            return response
        with ExitStack() as exits:
            self.services.unread.check(tenant, self.services.settings.requests, size)
            exits.enter_context(self.services.unread.hold(tenant, size))
            return ClosingResponse(response, exits.pop_all().close)

    async def _authenticate(self, scope: Scope, sheds: bool, trace: CallTrace) -> Principal:
        began, peer = perf_counter(), scope.get("state", {}).get("peer")
        with UnauthenticatedConnection(scope):
            principal = await authenticate(
                scope["headers"],
                scope["query_string"],
                peer and peer.thumbprint,
                address=_address(scope),
                sheds=sheds,
                authenticator=self.services.authenticator,
            )
        ended = perf_counter()
        self.services.metrics.observe_step("authenticate", ended - began)
        trace.steps.append(("authenticate", began, ended))
        return principal

    def _refusal(self, error: GatewayError, scope: Scope, trace_id: str) -> Response:
        has_token = any(name == b"authorization" for name, _ in scope["headers"])
        response = refusal(
            error,
            trace_id,
            has_token=has_token,
            retry_after_seconds=self.services.settings.requests.retry_after_seconds,
        )
        # RFC 9110: a 405 lists the methods that the path has; HEAD is served wherever GET is.
        if isinstance(error, MethodNotAllowed):
            response.headers["allow"] = ", ".join(
                sorted({*self.operations, *(["HEAD"] if "GET" in self.operations else [])})
            )
        return response


class UnknownPath:
    """The ASGI application for paths that the API does not have: sends 404 and names /openapi.json."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trace_id = trace_id_of(scope["headers"])
        error: GatewayError = NotFound("there is no such path: /openapi.json describes those that are")
        try:
            with UnauthenticatedConnection(scope):
                await self._services.unknown_callers.wait(_address(scope))
        except TooManyRequests as too_many:
            error = too_many
        response = refusal(error, trace_id, has_token=False, retry_after_seconds=0)
        response.raw_headers.append(traceparent_header(trace_id))
        await response(scope, receive, send)


class UnauthenticatedConnection:
    """A context manager that marks a connection as unauthenticated, so that the server may close it.

    Written by hand: a context manager made of a generator costs every request some microseconds.
    """

    __slots__ = ("_set",)

    def __init__(self, scope: Scope) -> None:
        self._set: Callable[[bool], None] | None = scope.get("state", {}).get("set_unproven")

    def __enter__(self) -> None:
        if self._set is not None:
            self._set(True)

    def __exit__(self, *_: object) -> None:
        if self._set is not None:
            self._set(False)


def _address(scope: Scope) -> str:
    """Returns the client's IP address; empty if it is unknown, as on a Unix socket."""
    return str((scope.get("client") or ("",))[0])
