"""The one place with an HTTP client: mutual TLS to one cluster, with time-outs, and every failure as a `ClusterError`. Nothing is retried.

Each purpose has a pool of its own, so that log followers cannot starve the probes. Pools are small: httpx looks through all of a pool's
connections and waiting calls for each call, so calls are few and carry many items.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, Self, TypeVar

import httpx
import msgspec
from msgspec import Struct

from clusters.errors import STATUS, ClusterError

T = TypeVar("T")
STORE_HEADER: Final = "waypost-store"
"""On whose behalf a call comes: IDENTITY.ERA of the gateway's store."""
ANSWER_BYTES: Final = 64 * 1_048_576
"""No answer and no line may be larger: a cluster gone mad must not take the gateway's memory."""
IDLE_SECONDS: Final = 30.0
"""Shorter than a cluster keeps idle connections, or a call would now and then meet one that is just being closed."""


class Purpose(StrEnum):
    """What a connection is for."""

    APPLY = "apply"
    PROBE = "probe"
    STREAM = "stream"
    LOGS = "logs"


CONNECTIONS: Final[Mapping[Purpose, int]] = {
    Purpose.APPLY: 4,
    Purpose.PROBE: 4,
    Purpose.STREAM: 2,
    Purpose.LOGS: 16,
}

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
"""What a status alone says, where the answer does not tell its reason: somebody between us may have given it."""

LASTING: Final = frozenset({"BadRequest", "Forbidden", "NotFound", "TooLarge"})
"""The same call would fail in the same way."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long to wait for what."""

    connect_seconds: float = 3.0
    """TCP and TLS."""
    read_seconds: float = 5.0
    """Between two pieces of an answer; for streams, between two lines."""
    pool_seconds: float = 1.0
    """For one of our own connections to be free."""


class Problem(Struct, frozen=True, kw_only=True):
    """What is read of a problem+json answer."""

    reason: str = ""
    detail: str = ""
    retryable: bool = True


class Transport:
    """Calls to one cluster, for as long as the `async with` lasts. Every method raises `ClusterError` and nothing else.

    `server_name` is the DNS name that the cluster's certificate must carry, whatever `address` (`https://10.1.0.5:7101`) is. `store` tells
    with each call for whom it is, as `STORE_HEADER` holds it.
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
        self._store = store
        self._extensions = {"sni_hostname": server_name}
        self._timeout = httpx.Timeout(
            chosen.read_seconds, connect=chosen.connect_seconds, pool=chosen.pool_seconds
        )
        self._clients = {purpose: self._client(address, tls, limit) for purpose, limit in CONNECTIONS.items()}

    def _client(self, address: str, tls: ssl.SSLContext, connections: int) -> httpx.AsyncClient:
        limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_SECONDS
        )
        headers = {"user-agent": "waypost", "accept-encoding": "identity"}
        return httpx.AsyncClient(
            base_url=address,
            verify=tls,
            limits=limits,
            timeout=self._timeout,
            headers=headers,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def call(
        self, purpose: Purpose, path: str, decoder: msgspec.json.Decoder[T], *, content: bytes | None = None
    ) -> T:
        """The decoded answer to a GET, or to a POST of `content`."""
        request = self._request(purpose, path, {}, content)
        with translated():
            response = await self._clients[purpose].send(request, stream=True)
            try:
                body = await _bounded(response)
            finally:
                await response.aclose()
            if not response.is_success:
                raise _refusal(response.status_code, body)
            return decoder.decode(body)

    async def lines(
        self, purpose: Purpose, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, str]
    ) -> AsyncIterator[T]:
        """Each line of an endless answer, decoded, as it comes; ends when the other end says so.

        Not httpx's own lines: those also end at characters that JSON text may hold, such as U+2028. Empty lines only show life.
        """
        request = self._request(purpose, path, params, None)
        with translated():
            response = await self._clients[purpose].send(request, stream=True)
            try:
                if not response.is_success:
                    raise _refusal(response.status_code, await _bounded(response))
                rest = bytearray()
                async for piece in response.aiter_raw():
                    head, newline, tail = piece.rpartition(b"\n")
                    if newline:
                        rest += head
                        for line in bytes(rest).split(b"\n"):
                            if line:
                                yield decoder.decode(line)
                        rest.clear()
                    rest += tail
                    if len(rest) > ANSWER_BYTES:
                        raise ClusterError("BadAnswer", f"a line over {ANSWER_BYTES} bytes")
                if rest:
                    raise ClusterError("BadAnswer", "the stream ended within a line")
            finally:
                await response.aclose()

    def _request(
        self, purpose: Purpose, path: str, params: Mapping[str, str], content: bytes | None
    ) -> httpx.Request:
        method, headers = ("GET", {}) if content is None else ("POST", {"content-type": "application/json"})
        headers[STORE_HEADER] = self._store()
        return self._clients[purpose].build_request(
            method, path, params=params, content=content, headers=headers, extensions=dict(self._extensions)
        )


@contextmanager
def translated() -> Iterator[None]:
    """Whatever goes wrong within, as a `ClusterError`."""
    try:
        yield
    except httpx.PoolTimeout as error:
        raise ClusterError("Busy", "all connections to this cluster are in use") from error
    except httpx.TimeoutException as error:
        raise ClusterError("Timeout", type(error).__name__) from error
    except (
        httpx.HTTPError,
        OSError,
    ) as error:  # OSError: httpx lets TLS alerts through that come after the handshake
        raise _broken(error) from error
    except msgspec.DecodeError as error:
        raise ClusterError("BadAnswer", str(error)) from error


def _broken(error: BaseException) -> ClusterError:
    """No connection, or not with whom it should be."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    detail = str(cause or error) or type(error).__name__
    if isinstance(cause, ssl.SSLCertVerificationError) or (
        cause is not None and "ALERT" in (cause.reason or "")
    ):
        return ClusterError("Forbidden", detail, retryable=False)
    return ClusterError("Unreachable", detail)


def _refusal(status: int, body: bytes) -> ClusterError:
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        problem = Problem()
    if problem.reason in STATUS:
        return ClusterError(problem.reason, problem.detail, retryable=problem.retryable)
    reason = REASONS.get(status, "BadAnswer")
    return ClusterError(reason, f"HTTP {status}", retryable=reason not in LASTING)


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > ANSWER_BYTES:
            raise ClusterError("BadAnswer", f"an answer over {ANSWER_BYTES} bytes")
    return bytes(body)
