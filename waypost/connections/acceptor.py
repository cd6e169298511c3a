"""Accepts connections of one listening socket for uvicorn, within a limit that also counts TLS handshakes.

It replaces `asyncio.Server`, which counts nothing: that accepts a connection whatever is open already, and
does not count one whose TLS handshake never comes. When no descriptor is left, uvloop 0.23 closes the waiting
connections without logging it.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from loguru import logger

from waypost.connections.connection_room import ConnectionRoom

PAUSE_SECONDS: Final = 0.05
"""The seconds to wait before accepting again, after a connection could not be accepted."""
LOG_SECONDS: Final = 10.0
"""The least seconds between two log lines about a server that is full."""


class Handshake:
    """An accepted connection whose TLS handshake is under way."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def cut_off(self) -> None:
        """Shuts the socket down in both directions: the handshake fails at once, and the socket closes."""
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


class Acceptor:
    """Accepts connections from `start` to `close`, as a replacement of `asyncio.Server` in uvicorn.

    `make_protocol` creates the protocol of a connection; its argument says whether the connection is to be
    refused because too many are open.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[bool], asyncio.Protocol],
        room: ConnectionRoom,
        *,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
        shutdown_seconds: float,
    ) -> None:
        self._listener, self._make_protocol, self._room, self._tls = listener, make_protocol, room, tls
        self._tls_seconds = (handshake_seconds, shutdown_seconds) if tls else (None, None)
        self._handshakes: dict[asyncio.Task[None], Handshake] = {}
        self._log_again_at = 0.0

    def __repr__(self) -> str:
        return f"<Acceptor {self._listener.getsockname()}, {len(self._handshakes)} handshakes, {self._room}>"

    def start(self) -> None:
        """Begins to accept connections, in a background task."""
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(), name="accept connections")

    def close(self) -> None:
        """Stops accepting connections, and closes those whose TLS handshake is under way."""
        self._accepting.cancel()
        for handshake in self._handshakes.values():
            handshake.cut_off()

    async def wait_closed(self) -> None:
        """Waits until no TLS handshake is under way and the accepting task has ended."""
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                # The machine or the process has no descriptor left, or the client has gone already.
                self._log_full(f"a connection cannot be accepted: {error.strerror}")
                if (victim := self._room.make_room()) is not None:
                    victim.cut_off()
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            refused, handshake = self._make_room_or_refuse(), Handshake(client)
            self._room.open.add(handshake)
            (self._room.refused if refused else self._room.arriving)[handshake] = None
            connecting = asyncio.create_task(self._connect(client, handshake, refused=refused))
            self._handshakes[connecting] = handshake
            connecting.add_done_callback(self._handshakes.pop)

    def _make_room_or_refuse(self) -> bool:
        """Closes an open connection if a new one needs its place; returns whether to refuse the new one.

        The new one is refused where all open connections are busy with a request.
        """
        if not self._room.full:
            return False
        victim = self._room.make_room()
        refused = victim is None
        if refused:
            victim = self._room.make_room_to_refuse()
        self._log_full(
            f"{self._room.maximum} connections are open, which is all that there may be: "
            + ("all are busy, new ones are refused" if refused else "idle ones are closed, oldest first")
        )
        if victim is not None:
            victim.cut_off()
        return refused

    async def _connect(self, client: socket.socket, handshake: Handshake, *, refused: bool) -> None:
        handshake_seconds, shutdown_seconds = self._tls_seconds
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make_protocol(refused),
                client,
                ssl=self._tls,
                ssl_handshake_timeout=handshake_seconds,
                ssl_shutdown_timeout=shutdown_seconds,
            )
        except OSError:
            # A client that fails its handshake learns that from TLS; it is no error of the server's.
            pass
        finally:
            self._room.leave(handshake)

    def _log_full(self, message: str) -> None:
        if time.monotonic() >= self._log_again_at:
            self._log_again_at = time.monotonic() + LOG_SECONDS
            logger.warning("{} ({})", message, self._listener.getsockname()[1])
