"""The HTTP server of a cluster: serves the methods of any `ClusterAdapter` to the gateway alone.

The other end is `clusters/embedded/http/client.py`.

    POST /v1/apply     a Batch -> BatchAnswers
    GET  /v1/attempts  -> Hello
    GET  /v1/watch     ?cursor=&incarnation=  -> a line of JSON for each event
    GET  /v1/logs      ?run=&shard=&epoch=&task=&offset=&follow=  -> a line of JSON for each chunk
    GET  /v1/timed-logs  as /v1/logs, each chunk with the time of its writing
    GET  /v1/waits     ?run=&shard=&epoch=  -> TaskWaits
    GET  /livez        for every client that TLS lets in

A `ClusterError` becomes a problem document with the same reason. One that comes after a stream has begun
breaks the connection off.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clusters.embedded.http.ndjson import NdjsonResponse
from clusters.embedded.ownership import Owner
from clusters.errors import STATUS, ClusterError
from clusters.interface import ClusterAdapter, ListsWaits, ReadLog, TimesLogs
from clusters.protocol import AttemptId, Batch
from clusters.transport import STORE_HEADER
from waypost.json_pointer import FieldError, located
from waypost.problem_documents import problem
from waypost.serving import AdmitPeers
from waypost.tls import GATEWAY_URI
from waypost.workflow.instances import RunTaskName
from waypost.workflow.task import Count

Query = TypeVar("Query", bound=Struct)
Encoded = TypeVar("Encoded")
Decoded = TypeVar("Decoded")
Endpoint = Callable[[Request], Awaitable[Response]]
Claim = Callable[[Owner], Awaitable[None]]

OWNER: Final = re.compile(r"([0-9a-f]{1,64})\.([0-9]{1,9})")
BODY_BYTES: Final = 64 * 1_048_576
QUIET_SECONDS: Final = 2.0
"""The idle seconds after which a log stream sends an empty line. Event streams send heartbeats."""
JSON: Final = "application/json"


class WatchQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of `GET /v1/watch`: the seq after which events begin, and their journal's id."""

    cursor: Count = 0
    incarnation: str = ""


class LogQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of `GET /v1/logs`: the attempt, the task, the first byte, whether to follow.

    `run` and `task` become names of a folder and a file, so neither may contain a separator or be `..`.
    """

    run: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$(?!\n)")]
    shard: Count
    epoch: Count
    task: RunTaskName
    offset: Count = 0
    follow: bool = False


class WaitsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of `GET /v1/waits`: the attempt."""

    run: str
    shard: Count
    epoch: Count


class MalformedRequest(Exception):
    """Raised for a request that is not well-formed, which is answered with status 400.

    `detail` says what is wrong, `pointer` (a JSON pointer) where in the body.
    """

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail, self.pointer = detail, pointer


def application(
    adapter: ClusterAdapter, *, claim: Claim | None = None, body_bytes: int = BODY_BYTES
) -> Starlette:
    """Returns the ASGI application of a cluster's HTTP API, for `waypost.serving.Server` with mutual TLS.

    A client whose certificate is not the gateway's gets 403. `claim` is called before each call with the
    store that the gateway works for; it raises `ClusterError` where the cluster works for another. Without
    `claim` the cluster works for any store. `body_bytes` is the size of the largest request body.
    """
    endpoints = _Endpoints(adapter, claim, body_bytes)
    return Starlette(
        routes=[
            Route("/v1/apply", endpoints.claimed(endpoints.apply), methods=["POST"]),
            Route("/v1/attempts", endpoints.claimed(endpoints.attempts)),
            Route("/v1/watch", endpoints.claimed(endpoints.watch)),
            Route("/v1/logs", endpoints.claimed(endpoints.logs)),
            Route("/v1/timed-logs", endpoints.claimed(endpoints.timed_logs)),
            Route("/v1/waits", endpoints.claimed(endpoints.waits)),
            Route("/livez", _livez),
        ],
        middleware=[Middleware(AdmitPeers, uris=[GATEWAY_URI], open_paths=["/livez"])],
        exception_handlers={
            ClusterError: _cluster_error,
            MalformedRequest: _malformed_request,
            HTTPException: _http_error,
            Exception: _internal_error,
        },
    )


class _Endpoints:
    """The request handlers of a cluster's HTTP API, one method for each path.

    `claim` raises `ClusterError` where the cluster works for another store than the caller's (None: it works
    for any); `body_bytes` is the size of the largest request body.
    """

    def __init__(self, adapter: ClusterAdapter, claim: Claim | None, body_bytes: int) -> None:
        self._adapter, self._claim, self._body_bytes = adapter, claim, body_bytes
        self._batches = msgspec.json.Decoder(Batch)

    def claimed(self, endpoint: Endpoint) -> Endpoint:
        """Wraps a request handler so that `claim` first checks that the caller's store owns the cluster."""

        async def claim_first(request: Request) -> Response:
            if self._claim is not None:
                await self._claim(_owner(request))
            return await endpoint(request)

        return claim_first

    async def apply(self, request: Request) -> Response:
        batch = _decode(self._batches.decode, await _read_body(request, self._body_bytes))
        return Response(msgspec.json.encode(await self._adapter.apply(batch)), media_type=JSON)

    async def attempts(self, _: Request) -> Response:
        return Response(msgspec.json.encode(await self._adapter.attempts()), media_type=JSON)

    async def watch(self, request: Request) -> Response:
        query = _query(request, WatchQuery)
        events = self._adapter.watch(query.cursor, query.incarnation)
        return await NdjsonResponse(events, closing=request.state.closing).begin()

    async def logs(self, request: Request) -> Response:
        return await self._log(request, self._adapter.logs)

    async def timed_logs(self, request: Request) -> Response:
        if not isinstance(self._adapter, TimesLogs):
            raise ClusterError("NotFound", "this cluster does not time its logs", retryable=False)
        return await self._log(request, self._adapter.timed_logs)

    async def _log(self, request: Request, read: ReadLog) -> Response:
        query = _query(request, LogQuery)
        attempt = AttemptId(run=query.run, shard=query.shard, epoch=query.epoch)
        chunks = read(attempt, query.task, offset=query.offset, follow=query.follow)
        response = NdjsonResponse(chunks, closing=request.state.closing, quiet_seconds=QUIET_SECONDS)
        return await response.begin()

    async def waits(self, request: Request) -> Response:
        query = _query(request, WaitsQuery)
        if not isinstance(self._adapter, ListsWaits):
            raise ClusterError("NotFound", "this cluster does not say what tasks wait for", retryable=False)
        waits = await self._adapter.waits(AttemptId(run=query.run, shard=query.shard, epoch=query.epoch))
        return Response(msgspec.json.encode(waits), media_type=JSON)


def _owner(request: Request) -> Owner:
    found = OWNER.fullmatch(request.headers.get(STORE_HEADER, ""))
    if found is None:
        raise MalformedRequest(
            f"the header {STORE_HEADER} names the gateway's store and its era: IDENTITY.ERA"
        )
    return Owner(store=found[1], era=int(found[2]))


async def _read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise ClusterError("TooLarge", f"a body over {limit} bytes", retryable=False)
    return bytes(body)


def _query(request: Request, form: type[Query]) -> Query:
    return _decode(lambda given: msgspec.convert(given, form, strict=False), dict(request.query_params))


def _decode(decode: Callable[[Encoded], Decoded], encoded: Encoded) -> Decoded:
    try:
        return decode(encoded)
    except msgspec.DecodeError as error:
        pointer, detail = located(error)
        raise MalformedRequest(detail, pointer) from error


async def _livez(_: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def _cluster_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ClusterError)
    return problem(STATUS.get(error.reason, 503), error.reason, error.detail, retryable=error.retryable)


async def _malformed_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, MalformedRequest)
    return problem(400, "BadRequest", error.detail, errors=[FieldError(error.pointer, error.detail)])


async def _http_error(_: Request, error: Exception) -> Response:
    """Converts an HTTP error raised by Starlette (unknown path or method) to a problem response."""
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "NotFound" if error.status_code == 404 else "BadRequest", error.detail)


async def _internal_error(_: Request, __: Exception) -> Response:
    # Starlette raises the error again after this answer, and the server logs it: it may hold what a client
    # must not see.
    return problem(500, "Internal", "the cluster's log says more", retryable=True)
