"""`EventFeed`, which reads and encodes a run's history once for all event streams of that run.

Without the feed each change of a run would cost the gateway a read and an encoding for each stream of that
run.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec
from msgspec import Struct
from sse_starlette import ServerSentEvent

from gateway.core.errors import GatewayError
from gateway.core.history import HistoryEntry
from gateway.store.interface import Store

PAGE_ENTRIES: Final = 200
"""The maximum number of history entries in a page: about what a socket accepts without waiting."""
CACHED_PAGES: Final = 32
"""The maximum number of pages of one run that are cached for its other streams."""


class EventPage(Struct, frozen=True, kw_only=True):
    """A page of a run's history entries, encoded as server-sent events.

    `last`: the `seq` of its last entry. `full`: there may be more entries. `over`: the run had ended before
    the page was read.
    """

    text: bytes
    last: int
    full: bool
    over: bool


class EventFeed:
    """A cache of one run's history, encoded as server-sent events, that all event streams of the run share.

    After a change of the run, its pages are read again at most every `pause_seconds`.
    """

    def __init__(self, store: Store, run_id: str, *, pause_seconds: float) -> None:
        self.readers = 0
        self._store, self._run_id, self._pause = store, run_id, pause_seconds
        self._exits = ExitStack()
        self._changed = self._exits.enter_context(store.subscribe(run_id))
        self._pages: dict[int, asyncio.Task[EventPage]] = {}
        self._next_read_at = 0.0

    def __repr__(self) -> str:
        return f"<EventFeed {self._run_id}, {self.readers} readers, pages after {list(self._pages)}>"

    async def page(self, after: int) -> EventPage:
        """Returns a page of server-sent events: the run's history entries after the one numbered `after`.

        It has the next `PAGE_ENTRIES` entries at most, and includes what was stored before the call. Raises
        `Unavailable` if the store cannot be read.
        """
        if self._changed.is_set():
            # A run of a thousand shards changes hundreds of times a second: its changes are sent together.
            await asyncio.sleep(max(0.0, self._next_read_at - asyncio.get_running_loop().time()))
            self._drop_stale_pages()
        reading = self._pages.get(after)
        if reading is None:
            reading = self._pages[after] = asyncio.create_task(self._read(after))
            if len(self._pages) > CACHED_PAGES:
                del self._pages[next(iter(self._pages))]
        try:
            # Shielded: a reader that goes away must not cancel what the others wait for.
            return await asyncio.shield(reading)
        except GatewayError:
            # Not cached: the next reader asks the store again.
            self._pages.pop(after, None)
            raise

    def close(self) -> None:
        """Ends the feed's subscription to the run's changes in the store."""
        self._exits.close()

    def _drop_stale_pages(self) -> None:
        """Drops the cached pages to which a change of the run may have added entries; full pages stay."""
        # Several readers wait for the same pause; the first of them drops the pages for all, the others find
        # the event cleared.
        if self._changed.is_set():
            self._changed.clear()
            self._next_read_at = asyncio.get_running_loop().time() + self._pause
            done = {
                after: page for after, page in self._pages.items() if page.done() and page.exception() is None
            }
            self._pages = {after: page for after, page in done.items() if page.result().full}

    async def _read(self, after: int) -> EventPage:
        # The run first: in the other order the last entry of a run that ends in between would be missed.
        run = await self._store.run(self._run_id)
        entries = await self._store.history(self._run_id, after=after, limit=PAGE_ENTRIES)
        return EventPage(
            text=b"".join([_encode_event(entry) for entry in entries]),
            last=entries[-1].seq if entries else after,
            full=len(entries) == PAGE_ENTRIES,
            over=run is None or run.phase.terminal,
        )


class EventFeeds:
    """The `EventFeed` of each run that has an open event stream on this gateway, by run id."""

    def __init__(self) -> None:
        self._feeds: dict[str, EventFeed] = {}

    @contextmanager
    def feed(self, store: Store, run_id: str, *, pause_seconds: float) -> Iterator[EventFeed]:
        """Opens a context with the run's `EventFeed`, shared by all its event streams; the last closes it."""
        feed = self._feeds.get(run_id)
        if feed is None:
            feed = self._feeds[run_id] = EventFeed(store, run_id, pause_seconds=pause_seconds)
        feed.readers += 1
        try:
            yield feed
        finally:
            feed.readers -= 1
            if not feed.readers:
                del self._feeds[run_id]
                feed.close()


def _encode_event(entry: HistoryEntry) -> bytes:
    return ServerSentEvent(
        data=msgspec.json.encode(entry).decode(), event=entry.kind, id=str(entry.seq), sep="\n"
    ).encode()
