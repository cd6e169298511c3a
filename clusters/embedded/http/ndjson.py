"""An answer that goes on: one line of JSON for each value, sent as soon as it is there, together with all others that are."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Self

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from waypost.cancellation import cancel_and_wait

WAITING_LINES = 1_000
WAITING_BYTES = 1_048_576
"""So many may wait for a slow client; then no more are asked for."""
BEGIN_SECONDS = 1.0
"""How long to wait for the first value, to answer with a status if there is an error instead."""


class Lines(Response):
    """Ends when the values do, and at once when the client goes or `closing` is set; the connection ends with it. An error breaks it off.

    `quiet_seconds`: an empty line shows life after so long without a value; None where the values do that themselves.
    """

    def __init__(
        self, values: AsyncIterator[Any], *, closing: asyncio.Event, quiet_seconds: float | None = None
    ) -> None:
        super().__init__(media_type="application/x-ndjson", headers={"connection": "close"})
        del self.headers["content-length"]
        self._values, self._closing, self._quiet_seconds = values, closing, quiet_seconds
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def begun(self) -> Self:
        """Asks for the first value. Raises what is raised in its place."""
        self._pump = asyncio.create_task(self._collect(), name="lines")
        self._pump.add_done_callback(lambda _: self._changed.set())
        try:
            await self._change(BEGIN_SECONDS)
        except BaseException:
            await cancel_and_wait((self._pump,))
            raise
        if self._pump.done() and not self._waiting:
            self._pump.result()
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # the form of an ASGI application
        gone = asyncio.create_task(_disconnected(receive), name="disconnect")
        closing = asyncio.create_task(self._closing.wait(), name="closing")
        for task in (gone, closing):
            task.add_done_callback(lambda _: self._changed.set())
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            while not (gone.done() or closing.done()):
                if self._waiting:
                    await send({"type": "http.response.body", "body": self._taken(), "more_body": True})
                elif self._pump.done():
                    self._pump.result()
                    break
                elif not await self._change(self._quiet_seconds):
                    await send({"type": "http.response.body", "body": b"\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await cancel_and_wait((self._pump, gone, closing))

    async def _collect(self) -> None:
        encoder = msgspec.json.Encoder()
        try:
            async for value in self._values:
                self._waiting.append(encoder.encode(value) + b"\n")
                self._bytes += len(self._waiting[-1])
                self._changed.set()
                if len(self._waiting) >= WAITING_LINES or self._bytes >= WAITING_BYTES:
                    self._room.clear()
                    await self._room.wait()
        finally:
            if isinstance(self._values, AsyncGenerator):
                await self._values.aclose()

    def _taken(self) -> bytes:
        body = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._room.set()
        return body

    async def _change(self, seconds: float | None) -> bool:
        """Has anything happened within so long?"""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
