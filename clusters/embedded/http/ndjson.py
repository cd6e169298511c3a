"""An HTTP response of newline-delimited JSON (NDJSON), each line of which is sent as soon as it is ready."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Self

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from waypost.cancellation import cancel_and_wait

GATHER_SECONDS = 0.005
"""The least seconds between two pieces that are sent."""
BUFFERED_LINES = 1_000
BUFFERED_BYTES = 1_048_576
"""The bytes buffered for a slow client from which on no more values are fetched.

`BUFFERED_LINES` is the same for lines.
"""
FIRST_VALUE_SECONDS = 1.0
"""The seconds that `begin` waits for the first value.

An error in its place can still become a response with a status.
"""


class NdjsonResponse(Response):
    """A streaming NDJSON response: one line of JSON for each of `values`, sent as soon as it is ready.

    The response ends after the last value, and its connection with it. Both end at once when the client
    disconnects or `closing` is set. An error raised by `values` breaks the connection off, so that the client
    does not take a partial answer for a whole one. After `quiet_seconds` without a value an empty line shows
    that the connection is alive; with None, no such line is sent.
    """

    def __init__(
        self, values: AsyncIterator[Any], *, closing: asyncio.Event, quiet_seconds: float | None = None
    ) -> None:
        super().__init__(media_type="application/x-ndjson", headers={"connection": "close"})
        del self.headers["content-length"]
        self._values, self._closing, self._quiet_seconds = values, closing, quiet_seconds
        self._lines: list[bytes] = []
        self._buffered_bytes = 0
        self._changed = asyncio.Event()
        """The event set when lines are added, the values end, the client disconnects, or the server stops."""
        self._has_room = asyncio.Event()
        self._has_room.set()

    def __repr__(self) -> str:
        return f"NdjsonResponse({len(self._lines)} lines, {self._buffered_bytes} bytes waiting)"

    async def begin(self) -> Self:
        """Waits for the first value, but at most `FIRST_VALUE_SECONDS`; then returns the response.

        Raises the error that `values` raises in place of its first value, so that the caller can still answer
        with an error status.
        """
        self._collecting = asyncio.create_task(self._collect(), name="lines")
        self._collecting.add_done_callback(lambda _: self._changed.set())
        try:
            await self._wait_for_change(FIRST_VALUE_SECONDS)
        except BaseException:
            await cancel_and_wait((self._collecting,))
            raise
        if self._collecting.done() and not self._lines:
            self._collecting.result()
        return self

    # The form of an ASGI application has a scope, which is not needed here.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        disconnected = asyncio.create_task(_wait_for_disconnect(receive), name="disconnect")
        closing = asyncio.create_task(self._closing.wait(), name="closing")
        for task in (disconnected, closing):
            task.add_done_callback(lambda _: self._changed.set())
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            while not (disconnected.done() or closing.done()):
                if self._lines:
                    await send({"type": "http.response.body", "body": self._take_lines(), "more_body": True})
                    # What comes meanwhile goes in one piece: a piece costs the reader more than a line.
                    await asyncio.sleep(GATHER_SECONDS)
                elif self._collecting.done():
                    # Lines first, then the error: what came before it still arrives.
                    self._collecting.result()
                    break
                elif not await self._wait_for_change(self._quiet_seconds):
                    await send({"type": "http.response.body", "body": b"\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await cancel_and_wait((self._collecting, disconnected, closing))

    async def _collect(self) -> None:
        encoder = msgspec.json.Encoder()
        try:
            async for value in self._values:
                self._lines.append(encoder.encode(value) + b"\n")
                self._buffered_bytes += len(self._lines[-1])
                self._changed.set()
                if len(self._lines) >= BUFFERED_LINES or self._buffered_bytes >= BUFFERED_BYTES:
                    self._has_room.clear()
                    await self._has_room.wait()
        finally:
            # A cancelled loop leaves its generator open; what that holds is freed only by closing it.
            if isinstance(self._values, AsyncGenerator):
                await self._values.aclose()

    def _take_lines(self) -> bytes:
        body = b"".join(self._lines)
        self._lines.clear()
        self._buffered_bytes = 0
        self._has_room.set()
        return body

    async def _wait_for_change(self, seconds: float | None) -> bool:
        """Waits for the event `_changed` and clears it; returns False if it is not set within `seconds`.

        That event means new lines, the end of the values, a disconnect, or the server's stop. With `seconds`
        None, the wait has no limit.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
