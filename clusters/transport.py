"""The HTTP client for one cluster: mutual TLS, time-outs, and each failure raised as a `ClusterError`.

It retries nothing, and no other module makes HTTP calls to clusters. Each purpose has a pool of connections
of its own, so that log followers cannot starve the probes. The pools are small: httpcore 1.0.9 goes through
all connections and all waiting calls of a pool whenever a call begins or ends
(`_assign_requests_to_connections`), so there are few calls, and each carries many items.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import StrEnum
from typing import Annotated, Final, Self, TypeAlias, TypeVar

import httpx
import msgspec
from msgspec import Meta, Struct

from clusters.errors import STATUS, ClusterError
from clusters.transport_failures import cluster_errors
from waypost.egress.bounded_connections import BoundedTransport, PieceLimit, begin_body

T = TypeVar("T")
Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
STORE_HEADER: Final = "waypost-store"
"""The request header that names the gateway's store and its era: IDENTITY.ERA."""
ANSWER_BYTES: Final = 8 * 1_048_576
"""The largest answer that is read, in bytes: a listing of 50,000 attempts has half.

A faulty cluster must not fill our memory.
"""
PROBE_BYTES: Final = 272 * 1_024
"""The largest answer to a probe, in bytes: a status with a thousand executors of the longest names."""
PROBLEM_BYTES: Final = 64 * 1_024
"""The largest body, in bytes, of an answer that refuses a stream."""
LINE_BYTES: Final = 8 * 1_048_576
"""The longest line of a stream, in bytes: a hello may list 70,000 attempts.

An event has 64 KiB of output.
"""
IDLE_SECONDS: Final = 30.0
"""The seconds for which an idle connection is kept.

Shorter than a cluster keeps it (75 s), or a call would now and then go out on a connection that is just being
closed.
"""


class Purpose(StrEnum):
    """The purposes of connections to a cluster; each purpose has a connection pool of its own."""

    APPLY = "apply"
    PROBE = "probe"
    STREAM = "stream"
    LOGS = "logs"
    FOLLOW = "follow"


CONNECTIONS: Final[Mapping[Purpose, int]] = {
    Purpose.APPLY: 4,
    Purpose.PROBE: 4,
    Purpose.STREAM: 2,
    Purpose.LOGS: 16,
    Purpose.FOLLOW: 128,
}
"""The most connections of each pool. Followers hold theirs for hours, so they share none with reads."""

REASONS: Final[Mapping[int, str]] = {
    400: "BadRequest",
    401: "Forbidden",
    403: "Forbidden",
    404: "NotFound",
    413: "TooLarge",
    502: "Unavailable",
    503: "Unavailable",
    504: "Unavailable",
}
"""The reason for each HTTP status of an answer that names none, such as one from a proxy."""

LASTING: Final = frozenset({"BadRequest", "Forbidden", "NotFound", "TooLarge"})
"""Those of `REASONS` that are not retryable: the same call would fail in the same way."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """The time-outs of calls to a cluster, in seconds.

    They bound connecting, the wait between two pieces of an answer, the wait for a free connection, and a
    whole call that is no stream.
    """

    connect_seconds: Seconds = 3.0
    """The most seconds for the TCP connection and the TLS handshake."""
    read_seconds: Seconds = 5.0
    """The most seconds between two pieces of an answer; for streams, between two lines."""
    pool_seconds: Seconds = 1.0
    """The most seconds that a call waits for a connection of the pool where all are in use."""
    whole_seconds: Seconds = 8.0
    """The most seconds for a whole call that is no stream, however its answer trickles in."""


class _ProblemMembers(Struct, frozen=True, kw_only=True):
    """The members of a cluster's problem document that the client reads.

    The whole document is `waypost.problem_documents.ProblemDocument`.
    """

    reason: str = ""
    detail: Annotated[str, Meta(max_length=4_096)] = ""
    retryable: bool = True


def _limits(connections: int) -> httpx.Limits:
    return httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_SECONDS
    )


class Transport:
    """The HTTP client for one cluster, open within `async with`.

    Every method raises only `ClusterError`. `server_name` is the DNS name that the cluster's certificate must
    carry, whatever `address` (`https://10.1.0.5:7101`) is. `store` gives, for each call, the IDENTITY.ERA of
    the gateway's store, which the call carries in a header.
    """

    def __init__(
        self,
        address: str,
        *,
        server_name: str,
        tls: ssl.SSLContext,
        store: Callable[[], str],
        timeouts: Timeouts | None = None,
    ) -> None:
        chosen = timeouts or Timeouts()
        self._address, self._store, self._whole_seconds = address, store, chosen.whole_seconds
        self._extensions = {"sni_hostname": server_name}
        self._timeout = httpx.Timeout(
            chosen.read_seconds, connect=chosen.connect_seconds, pool=chosen.pool_seconds
        )
        self._pools = {
            purpose: BoundedTransport(tls=tls, limits=_limits(limit))
            for purpose, limit in CONNECTIONS.items()
        }
        self._clients = {purpose: self._client(pool) for purpose, pool in self._pools.items()}

    def __repr__(self) -> str:
        return f"Transport({self._address}, server_name={self._extensions['sni_hostname']})"

    @property
    def connections(self) -> int:
        """Returns the number of connections to the cluster that are open now, in all pools."""
        return sum(pool.connections for pool in self._pools.values())

    def _client(self, pool: BoundedTransport) -> httpx.AsyncClient:
        headers = {"user-agent": "waypost", "accept-encoding": "identity"}
        return httpx.AsyncClient(
            base_url=self._address,
            transport=pool,
            timeout=self._timeout,
            headers=headers,
            trust_env=False,  # HTTPS_PROXY is set for other programs: work must not take a detour
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def call(
        self,
        purpose: Purpose,
        path: str,
        decoder: msgspec.json.Decoder[T],
        *,
        params: Mapping[str, str] = {},
        content: bytes | None = None,
    ) -> T:
        """Sends a GET to `path` with `params`, or a POST of `content`, and returns the decoded answer.

        A call that takes longer than `whole_seconds` is ended, and its connection closed.
        """
        request = self._request(purpose, path, params, content)
        limit = PROBE_BYTES if purpose is Purpose.PROBE else ANSWER_BYTES
        try:
            async with asyncio.timeout(self._whole_seconds):
                with cluster_errors():
                    response = await self._send(purpose, request)
                    try:
                        body = await _read_bounded(response, limit)
                    finally:
                        await response.aclose()
        except TimeoutError:
            detail = f"no whole answer within {self._whole_seconds:g} s"
            raise ClusterError("Timeout", detail) from None
        # Read as a refusal first: its body has the cluster's own reason.
        if not response.is_success:
            raise _refusal(response.status_code, body)
        with cluster_errors():
            return decoder.decode(body)

    async def lines(
        self, purpose: Purpose, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, str]
    ) -> AsyncGenerator[T]:
        """Sends a GET and yields each line of the answer, decoded, as soon as it arrives.

        The answer may go on for ever; the iteration ends when the cluster ends it.
        """
        request = self._request(purpose, path, params, None)
        with cluster_errors():
            response = await self._send(purpose, request)
            try:
                if not response.is_success:
                    raise _refusal(response.status_code, await _read_bounded(response, PROBLEM_BYTES))
                # Not `response.aiter_lines`: httpx 0.28.1 cuts with `str.splitlines`, also at characters that
                # a JSON text may hold. Smallest case: the line "a\u2028b" arrives as two.
                partial, pieces = bytearray(), PieceLimit()
                async for piece in response.aiter_raw():
                    pieces.add(len(piece))
                    head, newline, tail = piece.rpartition(b"\n")
                    if newline:
                        partial += head
                        for line in bytes(partial).split(b"\n"):
                            # An empty line only shows that the connection is alive.
                            if line:
                                yield decoder.decode(line)
                        partial.clear()
                    partial += tail
                    # A line without an end would fill our memory.
                    if len(partial) > LINE_BYTES:
                        raise ClusterError("BadAnswer", f"a line over {LINE_BYTES} bytes")
                # An orderly end comes after a whole line.
                if partial:
                    raise ClusterError("BadAnswer", "the stream ended within a line")
            finally:
                await response.aclose()

    async def _send(self, purpose: Purpose, request: httpx.Request) -> httpx.Response:
        response = await self._clients[purpose].send(request, stream=True)
        begin_body(response)
        return response

    def _request(
        self, purpose: Purpose, path: str, params: Mapping[str, str], content: bytes | None
    ) -> httpx.Request:
        method, headers = ("GET", {}) if content is None else ("POST", {"content-type": "application/json"})
        headers[STORE_HEADER] = self._store()
        return self._clients[purpose].build_request(
            method, path, params=params, content=content, headers=headers, extensions=dict(self._extensions)
        )


def _refusal(status: int, body: bytes) -> ClusterError:
    """Converts a cluster's HTTP answer with an error status to the `ClusterError` that it stands for.

    The reason is that of the problem document in the answer, or else follows from the status.
    """
    try:
        problem = msgspec.json.decode(body, type=_ProblemMembers)
    except (msgspec.DecodeError, RecursionError):
        problem = _ProblemMembers()
    # Any other reason is not a cluster's: a proxy in between has answered.
    if problem.reason in STATUS:
        return ClusterError(problem.reason, problem.detail, retryable=problem.retryable)
    reason = REASONS.get(status, "BadAnswer")
    return ClusterError(reason, f"HTTP {status}", retryable=reason not in LASTING)


async def _read_bounded(response: httpx.Response, limit: int) -> bytes:
    body, pieces = bytearray(), PieceLimit()
    async for piece in response.aiter_raw():
        pieces.add(len(piece))
        body += piece
        if len(body) > limit:
            raise ClusterError("BadAnswer", f"an answer over {limit} bytes")
    return bytes(body)
