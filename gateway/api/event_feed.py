"""Who follows runs: how many streams may be open, and a run's history read once for all who follow it.

Without it each change of a run would cost the gateway a read and an encoding for each of its followers.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec
from msgspec import Struct
from sse_starlette import ServerSentEvent
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.core.errors import GatewayError, TooManyRequests, Unavailable
from gateway.core.run import AuditEntry
from gateway.settings import Requests
from gateway.store.interface import Store

PAGE: Final = 200
"""Entries read and sent at once: about what a socket takes without waiting."""
KEPT: Final = 32
"""Pages of one run that are remembered for its other followers."""


class Page(Struct, frozen=True, kw_only=True):
    """A piece of a run's history as server-sent events. `full`: there may be more. `over`: the run had ended before this was read."""

    text: bytes
    last: int
    full: bool
    over: bool


class Feed:
    """The history of one run for all of its followers. A page is read once, and news at most every `pause_seconds`."""

    def __init__(self, store: Store, run_id: str, *, pause_seconds: float) -> None:
        self.followers = 0
        self._store, self._run_id, self._pause = store, run_id, pause_seconds
        self._exits = ExitStack()
        self._changed = self._exits.enter_context(store.subscribe(run_id))
        self._pages: dict[int, asyncio.Task[Page]] = {}
        self._look_at = 0.0

    async def page(self, after: int) -> Page:
        """What comes after that entry, not older than the last change before the call. Raises `Unavailable`."""
        if self._changed.is_set():
            await asyncio.sleep(max(0.0, self._look_at - asyncio.get_running_loop().time()))
            self._renew()
        reading = self._pages.get(after)
        if reading is None:
            reading = self._pages[after] = asyncio.create_task(self._read(after))
            if len(self._pages) > KEPT:
                del self._pages[next(iter(self._pages))]
        try:
            return await asyncio.shield(reading)
        except GatewayError:
            self._pages.pop(after, None)
            raise

    def close(self) -> None:
        self._exits.close()

    def _renew(self) -> None:
        """Forgets what a change has made old: all but full pages. The first of those who waited does it for all."""
        if self._changed.is_set():
            self._changed.clear()
            self._look_at = asyncio.get_running_loop().time() + self._pause
            done = {
                after: page for after, page in self._pages.items() if page.done() and page.exception() is None
            }
            self._pages = {after: page for after, page in done.items() if page.result().full}

    async def _read(self, after: int) -> Page:
        run = await self._store.run(
            self._run_id
        )  # before its history, so that the last entry of a run that is over is not missed
        entries = await self._store.audit(self._run_id, after=after, limit=PAGE)
        return Page(
            text=b"".join([_event(entry) for entry in entries]),
            last=entries[-1].seq if entries else after,
            full=len(entries) == PAGE,
            over=run is None or run.phase.terminal,
        )


class Following:
    """All who follow something on one gateway."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._streams: Counter[str] = Counter()

    @contextmanager
    def stream(self, tenant: str, limits: Requests) -> Iterator[None]:
        """A place for one open stream. Raises `TooManyRequests` or `Unavailable` where there is none."""
        if self._streams[tenant] >= limits.streams_per_tenant:
            raise TooManyRequests(
                f"your tenant has {limits.streams_per_tenant} streams open, which is all it may"
            )
        if self._streams.total() >= limits.streams_maximum:
            raise Unavailable("too many streams are open")
        self._streams[tenant] += 1
        try:
            yield
        finally:
            self._streams[tenant] -= 1
            if not self._streams[tenant]:
                del self._streams[tenant]

    @contextmanager
    def feed(self, store: Store, run_id: str, *, pause_seconds: float) -> Iterator[Feed]:
        """The one feed of a run, for as long as anybody follows it."""
        feed = self._feeds.get(run_id)
        if feed is None:
            feed = self._feeds[run_id] = Feed(store, run_id, pause_seconds=pause_seconds)
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                del self._feeds[run_id]
                feed.close()


class Held(Response):
    """A response that gives something back when it is over, however it ends."""

    def __init__(self, response: Response, give_back: Callable[[], None]) -> None:
        self.status_code, self.raw_headers = response.status_code, response.raw_headers
        self._response, self._give_back = response, give_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            self._give_back()


def _event(entry: AuditEntry) -> bytes:
    return ServerSentEvent(
        data=msgspec.json.encode(entry).decode(), event=entry.kind, id=str(entry.seq), sep="\n"
    ).encode()
