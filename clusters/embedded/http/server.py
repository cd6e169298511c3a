"""Any `ClusterAdapter` over HTTP, for the gateway alone. The other end is `clusters/embedded/http/client.py`.

    POST /v1/apply     a Batch -> BatchAnswers
    GET  /v1/attempts  -> Hello
    GET  /v1/watch     ?cursor=&incarnation=  -> a line of JSON for each event
    GET  /v1/logs      ?run=&shard=&epoch=&task=&offset=&follow=  -> a line of JSON for each chunk
    GET  /livez        for every client that TLS lets in

A `ClusterError` becomes problem+json under its own reason. One that comes when a stream has begun breaks the connection.
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

from clusters.embedded.http.ndjson import Lines
from clusters.embedded.scheduling.ownership import Owner
from clusters.errors import STATUS, ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import AttemptId, Batch
from clusters.transport import STORE_HEADER
from waypost.json_pointer import FieldError, located
from waypost.problems import problem
from waypost.serving import AdmitPeers
from waypost.tls import GATEWAY_URI
from waypost.workflow.task import Count, TaskName

T = TypeVar("T", bound=Struct)
Endpoint = Callable[[Request], Awaitable[Response]]
Claim = Callable[[Owner], Awaitable[None]]
OWNER: Final = re.compile(r"([0-9a-f]{1,64})\.([0-9]{1,9})")
BODY_BYTES: Final = 64 * 1_048_576
QUIET_SECONDS: Final = 2.0
"""An empty line goes over a log stream on which nothing happened for so long. The event stream has its own beats."""
JSON: Final = "application/json"


class WatchQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/v1/watch`: where the gateway's copy of the events ends."""

    cursor: Count = 0
    incarnation: str = ""


class LogQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/v1/logs`: which task of which attempt. The run's name leads to a folder, so it cannot lead out of one."""

    run: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$(?!\n)")]
    shard: Count
    epoch: Count
    task: TaskName
    offset: Count = 0
    follow: bool = False


def application(
    adapter: ClusterAdapter, *, claim: Claim | None = None, body_bytes: int = BODY_BYTES
) -> Starlette:
    """To be served by `waypost.serving.Server` with mutual TLS; a request whose client is not the gateway gets 403.

    `claim` is asked before each call whether the cluster works for the gateway's store. None: for whoever comes.
    """
    batches = msgspec.json.Decoder(Batch)

    async def apply(request: Request) -> Response:
        batch = _decoded(batches.decode, await _body(request, body_bytes))
        return Response(msgspec.json.encode(await adapter.apply(batch)), media_type=JSON)

    async def attempts(_: Request) -> Response:
        return Response(msgspec.json.encode(await adapter.attempts()), media_type=JSON)

    async def watch(request: Request) -> Response:
        query = _query(request, WatchQuery)
        return await Lines(
            adapter.watch(query.cursor, query.incarnation), closing=request.state.closing
        ).begun()

    async def logs(request: Request) -> Response:
        query = _query(request, LogQuery)
        attempt = AttemptId(run=query.run, shard=query.shard, epoch=query.epoch)
        chunks = adapter.logs(attempt, query.task, offset=query.offset, follow=query.follow)
        return await Lines(chunks, closing=request.state.closing, quiet_seconds=QUIET_SECONDS).begun()

    def claimed(endpoint: Endpoint) -> Endpoint:
        async def heard(request: Request) -> Response:
            if claim is not None:
                await claim(_owner(request))
            return await endpoint(request)

        return heard

    return Starlette(
        routes=[
            Route("/v1/apply", claimed(apply), methods=["POST"]),
            Route("/v1/attempts", claimed(attempts)),
            Route("/v1/watch", claimed(watch)),
            Route("/v1/logs", claimed(logs)),
            Route("/livez", _alive),
        ],
        middleware=[Middleware(AdmitPeers, uris=[GATEWAY_URI], open_paths=["/livez"])],
        exception_handlers={
            ClusterError: _cluster_error,
            _Malformed: _malformed,
            HTTPException: _http_error,
            Exception: _fault,
        },
    )


def _owner(request: Request) -> Owner:
    found = OWNER.fullmatch(request.headers.get(STORE_HEADER, ""))
    if found is None:
        raise _Malformed(f"the header {STORE_HEADER} names the gateway's store and its era: IDENTITY.ERA")
    return Owner(store=found[1], era=int(found[2]))


class _Malformed(Exception):
    """A request that does not have its form: what and where."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail, self.pointer = detail, pointer


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise ClusterError("TooLarge", f"a body over {limit} bytes", retryable=False)
    return bytes(body)


def _query(request: Request, form: type[T]) -> T:
    return _decoded(lambda given: msgspec.convert(given, form, strict=False), dict(request.query_params))


Given = TypeVar("Given")
Taken = TypeVar("Taken")


def _decoded(decode: Callable[[Given], Taken], given: Given) -> Taken:
    try:
        return decode(given)
    except msgspec.DecodeError as error:
        pointer, detail = located(error)
        raise _Malformed(detail, pointer) from error


async def _alive(_: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def _cluster_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ClusterError)
    return problem(STATUS.get(error.reason, 503), error.reason, error.detail, retryable=error.retryable)


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, _Malformed)
    return problem(400, "BadRequest", error.detail, errors=[FieldError(error.pointer, error.detail)])


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "NotFound" if error.status_code == 404 else "BadRequest", error.detail)


async def _fault(_: Request, __: Exception) -> Response:
    """Logged by the server, which gets the error too."""
    return problem(500, "Internal", "the cluster's log says more", retryable=True)
