"""A TCP proxy that simulates network faults (delay, low rate, cuts, loss), for `waypost up` and tests.

Bytes keep their order and overlap in flight: a delay costs time, not throughput. A setting takes effect at
once, on open connections too. A connection that has lost bytes is reset when the mode returns to PASS, since
a stream with a hole is useless.
"""

import asyncio
import random
import socket
import struct
from collections import deque
from enum import StrEnum
from typing import Final, Self

CHUNK_BYTES: Final = 65_536
IN_FLIGHT_BYTES: Final = 8 * 1_048_576
"""The maximum bytes in flight in one direction of a connection; reading pauses until some are delivered."""
SLICE_SECONDS: Final = 0.02
"""The sending time in seconds of a slice, in which chunks are sent if the bytes per second are limited."""


class Mode(StrEnum):
    """The kind of fault that the TCP proxy simulates: none, refused connections, or lost bytes."""

    PASS = "pass"  # noqa: S105  # a mode, not a password
    """All bytes arrive, in both directions."""
    CUT = "cut"
    """Open connections are reset, new ones are refused."""
    BLACKHOLE = "blackhole"
    """Connections are accepted, and all bytes are lost, in both directions."""
    SWALLOW_REPLIES = "swallow replies"
    """Bytes from the client arrive, and all bytes of the replies are lost."""


class Proxy:
    """A TCP proxy that forwards a port's connections to a target, with simulated delay, low rate and faults.

    It listens while its `async with` lasts. `delay_seconds` (each way), `bytes_per_second` (each way, all
    connections together; None: no bound) and `reset_probability` (that a chunk from a client resets its
    connection) may be set at any time; the mode by `switch`. `dice` makes the random choices.
    """

    def __init__(
        self,
        *,
        target_host: str,
        target_port: int,
        listen_port: int = 0,
        host: str = "127.0.0.1",
        dice: random.Random | None = None,
    ) -> None:
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        self.reset_probability = 0.0
        self._target = target_host, target_port
        self._host, self._port = host, listen_port
        self._dice = dice or random.Random()  # noqa: S311  # chance, not secrecy
        self._mode = Mode.PASS
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._free_at: dict[_Direction, float] = {}

    def __repr__(self) -> str:
        host, port = self._target
        return f"<Proxy :{self._port} to {host}:{port}, {self._mode}, {len(self._connections)} connections>"

    async def __aenter__(self) -> Self:
        """Starts to listen on the proxy's port. Raises `OSError` if the port cannot be bound."""
        # A second socket on the port, bound and not listening, keeps it ours while connections are refused.
        self._reserved = self._bound_socket()
        self._port = self._reserved.getsockname()[1]
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_listening()
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        await asyncio.gather(*(connection.task for connection in connections), return_exceptions=True)
        self._reserved.close()

    @property
    def port(self) -> int:
        """The TCP port on which the proxy listens."""
        return self._port

    @property
    def mode(self) -> Mode:
        """The kind of fault that the proxy simulates now."""
        return self._mode

    async def switch(self, mode: Mode) -> None:
        """Changes the kind of fault that the proxy simulates, for open connections and new ones."""
        self._mode = mode
        for connection in list(self._connections):
            if mode is Mode.CUT or (mode is Mode.PASS and connection.has_lost_bytes):
                connection.reset()
        if mode is Mode.CUT:
            self._stop_listening()
        elif self._server is None:
            await self._listen()

    def _bound_socket(self) -> socket.socket:
        opened = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind((self._host, self._port))
        except OSError:
            opened.close()
            raise
        return opened

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._bound_socket())

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        connection.task = asyncio.create_task(connection.run(self._target), name="proxied connection")
        connection.task.add_done_callback(lambda _: self._connections.discard(connection))

    def draw_reset(self) -> bool:
        """Draws at random, with `reset_probability`, whether to reset a connection now."""
        return self.reset_probability > 0 and self._dice.random() < self.reset_probability

    def loses(self, direction: "_Direction") -> bool:
        """Returns whether the proxy's present mode loses the bytes of this direction."""
        return self._mode is Mode.BLACKHOLE or (
            self._mode is Mode.SWALLOW_REPLIES and direction is _Direction.REPLIES
        )

    async def take_turn(self, direction: "_Direction", size: int) -> None:
        """Waits until `size` more bytes of this direction may have been sent at the proxy's rate limit."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at.get(direction, now))
        self._free_at[direction] = begins + (size / self.bytes_per_second if self.bytes_per_second else 0.0)
        if self._free_at[direction] > now:
            await asyncio.sleep(self._free_at[direction] - now)


class _Direction(StrEnum):
    """The direction of a connection's bytes: from the client, or to the client."""

    REQUESTS = "requests"
    REPLIES = "replies"


class _Connection:
    """One proxied connection: the sockets to client and target, and a `_Pipe` for each direction."""

    task: asyncio.Task[None]

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._reader, self._writers = proxy, reader, [writer]
        self.has_lost_bytes = False

    async def run(self, target: tuple[str, int]) -> None:
        """Forwards bytes between client and target until both have closed, or the connection is broken."""
        try:
            # In a black hole the target must not even see the connection. What the client sends is read all
            # the same, so that its end of the connection is noticed.
            if self._proxy.mode is Mode.BLACKHOLE:
                self.has_lost_bytes = True
                while await self._reader.read(CHUNK_BYTES):
                    pass
                return
            reader, writer = await asyncio.open_connection(*target)
            self._writers.append(writer)
            async with asyncio.TaskGroup() as tasks:
                requests = _Pipe(self, self._proxy, _Direction.REQUESTS)
                replies = _Pipe(self, self._proxy, _Direction.REPLIES)
                ends = ((requests, self._reader, writer), (replies, reader, self._writers[0]))
                for pipe, source, sink in ends:
                    tasks.create_task(pipe.fill(source))
                    tasks.create_task(pipe.deliver(sink))
            for writer in self._writers:
                writer.close()
                await writer.wait_closed()
        except* OSError:
            # One end is gone: the other is to see a reset, which `_abort` makes.
            pass
        finally:
            self._abort()

    def reset(self) -> None:
        """Resets the connection: client and target see a TCP reset, not an orderly close."""
        self._abort()
        self.task.cancel()

    def _abort(self) -> None:
        for writer in self._writers:
            # SO_LINGER with 0 seconds makes the close a reset (RST)
            if not writer.is_closing():
                opened: socket.socket = writer.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class _Pipe:
    """One direction of a proxied connection: the chunks in flight, each with the time when it is due."""

    def __init__(self, connection: _Connection, proxy: Proxy, direction: _Direction) -> None:
        self._connection, self._proxy, self._direction = connection, proxy, direction
        self._in_flight: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    async def fill(self, source: asyncio.StreamReader) -> None:
        """Reads chunks from `source` until it ends, and queues them; the end is queued as an empty chunk."""
        clock = asyncio.get_running_loop().time
        chunk = b"."
        while chunk:
            try:
                chunk = await source.read(CHUNK_BYTES)
            except OSError:
                if not self._proxy.loses(self._direction):
                    raise
                # A reset is lost like any other packet: the other end must not see that this one died.
                chunk = b""
            if chunk and self._direction is _Direction.REQUESTS and self._proxy.draw_reset():
                raise ConnectionResetError("by chance")
            self._in_flight.append((clock() + self._proxy.delay_seconds, chunk))
            self._bytes += len(chunk)
            self._changed.set()
            while self._bytes > IN_FLIGHT_BYTES:
                await self._wait_for_change()

    async def deliver(self, sink: asyncio.StreamWriter) -> None:
        """Writes each queued chunk to `sink` when it is due, until the end of the stream.

        A chunk is discarded instead if the mode in force at that time loses the bytes of this direction.
        """
        clock = asyncio.get_running_loop().time
        while True:
            while not self._in_flight:
                await self._wait_for_change()
            # In order: where the delay has fallen meanwhile, a later chunk still waits for the earlier ones.
            due, chunk = self._in_flight.popleft()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            if self._proxy.loses(self._direction):
                self._connection.has_lost_bytes = True
            elif chunk:
                await self._send(chunk, sink)
            elif not sink.is_closing():
                sink.write_eof()
            self._bytes -= len(chunk)
            self._changed.set()
            if not chunk:
                return

    async def _send(self, chunk: bytes, sink: asyncio.StreamWriter) -> None:
        """Writes `chunk` to the sink in slices, at the rate limit that all connections of the proxy share."""
        while chunk:
            rate = self._proxy.bytes_per_second
            size = len(chunk) if rate is None else max(1, int(rate * SLICE_SECONDS))
            await self._proxy.take_turn(self._direction, min(size, len(chunk)))
            sink.write(chunk[:size])
            await sink.drain()
            chunk = chunk[size:]

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
