"""A TCP proxy that stands for a bad road: late, narrow, cut, or swallowing. For the demo and for tests of failure.

Bytes keep their order and overlap in flight: a delay costs time, not throughput. What is set takes effect at once, on open
connections too. A connection that has lost bytes is reset when the road heals, since a stream with a hole is none.
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
"""One connection's bytes under way in one direction; more are not read until some have arrived."""
SLICE_SECONDS: Final = 0.02
"""On a narrow road bytes trickle: so much road time at once."""


class Mode(StrEnum):
    """What becomes of connections."""

    PASS = "pass"  # noqa: S105  # a mode, not a password
    CUT = "cut"
    """Open ones are reset, new ones refused."""
    BLACKHOLE = "blackhole"
    """Accepted, and nothing ever comes through, either way."""
    SWALLOW_REPLIES = "swallow replies"
    """What the client says arrives, and no answer comes back."""


class Proxy:
    """From a port of our own to a target, for as long as the `async with` lasts.

    `delay_seconds` (each way), `bytes_per_second` (each way, all connections together; None: no bound) and `reset_probability`
    (for each piece that a client sends, by `dice`) may be set at any time; the mode by `switch`.
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
        self._roads: set[_Road] = set()
        self._free_at: dict[_Direction, float] = {}

    async def __aenter__(self) -> Self:
        """Raises `OSError` where the port cannot be had."""
        self._reserved = self._socket()  # keeps the port ours while connections are refused
        self._port = self._reserved.getsockname()[1]
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._refuse()
        roads = list(self._roads)
        for road in roads:
            road.reset()
        await asyncio.gather(*(road.task for road in roads), return_exceptions=True)
        self._reserved.close()

    @property
    def port(self) -> int:
        return self._port

    @property
    def mode(self) -> Mode:
        return self._mode

    async def switch(self, mode: Mode) -> None:
        """From now on `mode`, for open connections and new ones."""
        self._mode = mode
        for road in list(self._roads):
            if mode is Mode.CUT or (mode is Mode.PASS and road.has_lost):
                road.reset()
        if mode is Mode.CUT:
            self._refuse()
        elif self._server is None:
            await self._listen()

    def _socket(self) -> socket.socket:
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
        self._server = await asyncio.start_server(self._accepted, sock=self._socket())

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        road = _Road(self, reader, writer)
        self._roads.add(road)
        road.task = asyncio.create_task(road.run(self._target), name="road")
        road.task.add_done_callback(lambda _: self._roads.discard(road))

    def unlucky(self) -> bool:
        return self.reset_probability > 0 and self._dice.random() < self.reset_probability

    def loses(self, direction: "_Direction") -> bool:
        return self._mode is Mode.BLACKHOLE or (
            self._mode is Mode.SWALLOW_REPLIES and direction is _Direction.BACK
        )

    async def take_turn(self, direction: "_Direction", size: int) -> None:
        """Waits until the road has carried what went before, then takes it for `size` bytes."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at.get(direction, now))
        self._free_at[direction] = begins + (size / self.bytes_per_second if self.bytes_per_second else 0.0)
        if self._free_at[direction] > now:
            await asyncio.sleep(self._free_at[direction] - now)


class _Direction(StrEnum):
    OUT = "out"
    BACK = "back"


class _Road:
    """One connection: client and target, and a lane each way."""

    task: asyncio.Task[None]

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._reader, self._writers = proxy, reader, [writer]
        self.has_lost = False

    async def run(self, target: tuple[str, int]) -> None:
        try:
            if self._proxy.mode is Mode.BLACKHOLE:  # the target does not hear of it either
                self.has_lost = True
                while await self._reader.read(CHUNK_BYTES):
                    pass
                return
            reader, writer = await asyncio.open_connection(*target)
            self._writers.append(writer)
            async with asyncio.TaskGroup() as lanes:
                out, back = (
                    _Lane(self, self._proxy, _Direction.OUT),
                    _Lane(self, self._proxy, _Direction.BACK),
                )
                for lane, source, sink in ((out, self._reader, writer), (back, reader, self._writers[0])):
                    lanes.create_task(lane.fill(source))
                    lanes.create_task(lane.deliver(sink))
            for writer in self._writers:
                writer.close()
                await writer.wait_closed()
        except* OSError:  # either end is gone, and so is the other
            pass
        finally:
            self._abort()

    def reset(self) -> None:
        """Both ends see a reset, not an orderly end."""
        self._abort()
        self.task.cancel()

    def _abort(self) -> None:
        for writer in self._writers:
            if not writer.is_closing():
                opened: socket.socket = writer.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class _Lane:
    """One direction of one connection: pieces in flight, each with the time it is due."""

    def __init__(self, road: _Road, proxy: Proxy, direction: _Direction) -> None:
        self._road, self._proxy, self._direction = road, proxy, direction
        self._flight: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    async def fill(self, source: asyncio.StreamReader) -> None:
        clock = asyncio.get_running_loop().time
        piece = b"."
        while piece:
            try:
                piece = await source.read(CHUNK_BYTES)
            except OSError:
                if not self._proxy.loses(self._direction):
                    raise
                piece = b""  # who is behind a black hole can die unseen
            if piece and self._direction is _Direction.OUT and self._proxy.unlucky():
                raise ConnectionResetError("by chance")
            self._flight.append((clock() + self._proxy.delay_seconds, piece))
            self._bytes += len(piece)
            self._changed.set()
            while self._bytes > IN_FLIGHT_BYTES:
                await self._change()

    async def deliver(self, sink: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            while not self._flight:
                await self._change()
            due, piece = self._flight.popleft()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            if self._proxy.loses(self._direction):
                self._road.has_lost = True
            elif piece:
                await self._carry(piece, sink)
            elif not sink.is_closing():
                sink.write_eof()
            self._bytes -= len(piece)
            self._changed.set()
            if not piece:
                return

    async def _carry(self, piece: bytes, sink: asyncio.StreamWriter) -> None:
        while piece:
            rate = self._proxy.bytes_per_second
            size = len(piece) if rate is None else max(1, int(rate * SLICE_SECONDS))
            await self._proxy.take_turn(self._direction, min(size, len(piece)))
            sink.write(piece[:size])
            await sink.drain()
            piece = piece[size:]

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
