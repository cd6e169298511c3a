"""HTTP connections that bound the size of an answer's head and the rate of its small pieces.

httpx has time-outs only between two reads, and no bound on what it reads before an answer begins. So a
server that sends `HTTP/1.1 100 Continue` for ever, or an answer byte by byte, would keep the event loop from
everything else.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

HEAD_BYTES: Final = 16 * 1024
"""The most bytes that are read before an answer's body begins; a head has a few hundred."""
HEAD_PIECE_BYTES: Final = 4 * 1024
PIECE_BYTES: Final = 16 * 1024
"""The most bytes that are read and parsed before other tasks of the event loop run: a TLS record."""
SMALL_BYTES: Final = 16
"""The average size, in bytes, below which the pieces of an answer count as small."""
SMALL_PIECES: Final = 200
"""The most small pieces of an answer within a second."""


class ExcessiveAnswer(Exception):
    """Raised for an answer that goes on before it begins, or comes in too many small pieces; says which."""


class BoundedStream(httpcore.AsyncNetworkStream):
    """A network connection that reads at most `HEAD_BYTES` of an answer until `begin_body` lifts that limit.

    Reading more raises `ExcessiveAnswer`. The next write sets the limit again.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._head_bytes, self._in_head = 0, True

    def begin_body(self) -> None:
        """Lifts the limit on bytes read; to be called once the head of an answer has been read."""
        self._in_head = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # anyio 4 reads what TLS has decrypted already without a turn of the loop.
        await asyncio.sleep(0)
        bound = HEAD_PIECE_BYTES if self._in_head else PIECE_BYTES
        data = await self._stream.read(min(max_bytes, bound), timeout)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                raise ExcessiveAnswer(f"no answer began within {HEAD_BYTES} bytes")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._head_bytes, self._in_head = 0, True
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.AnyIOBackend):
    """A network backend of httpcore whose TCP connections are `BoundedStream` objects."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return BoundedStream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class BoundedTransport(httpx.AsyncHTTPTransport):
    """An httpx transport whose connections are `BoundedStream` objects; it uses no proxy."""

    def __init__(self, *, tls: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=tls, limits=limits, trust_env=False)
        # httpx 0.28.1 takes no network backend, so its pool is replaced by one that has ours.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=BoundedBackend(),
        )

    @property
    def connections(self) -> int:
        """Returns the number of connections in the transport's pool that are open or being opened."""
        return len(self._pool.connections)


def begin_body(response: httpx.Response) -> None:
    """Lifts the limit on the bytes read from the connection of `response`, whose head has been read."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, BoundedStream):
        stream.begin_body()


class PieceLimit:
    """Limits how many small pieces of one HTTP answer are received within a second.

    A small piece costs as much work as a large one: an answer is refused if more than `SMALL_PIECES` of its
    pieces come within a second and they have less than `SMALL_BYTES` bytes on average.
    """

    def __init__(self) -> None:
        self._since, self._pieces, self._bytes = 0.0, 0, 0

    def add(self, size: int) -> None:
        """Counts one more piece, of `size` bytes, of an answer.

        Raises `ExcessiveAnswer` if more than `SMALL_PIECES` came within a second, of less than
        `SMALL_BYTES` bytes on average.
        """
        self._pieces, self._bytes = self._pieces + 1, self._bytes + size
        if self._pieces <= SMALL_PIECES:
            return
        now = asyncio.get_running_loop().time()
        if now - self._since < 1.0 and self._bytes < SMALL_BYTES * self._pieces:
            raise ExcessiveAnswer(f"an answer in pieces of {self._bytes // self._pieces} bytes")
        self._since, self._pieces, self._bytes = now, 0, 0
