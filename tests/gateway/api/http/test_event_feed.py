"""Tests that one feed of a run's history serves all its event streams."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.api.http.event_feed import PAGE_ENTRIES, EventFeed, EventFeeds
from gateway.core.errors import Unavailable
from gateway.core.history import HistoryKind
from gateway.store.interface import ShardWrite, Store
from tests.gateway.core.history_entries import history_entry

Document = dict[str, Any]


class Counting:
    """A store that counts how often a history is read, and can be made to fail."""

    def __init__(self, store: Store) -> None:
        self.store, self.reads, self.broken = store, 0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def history(self, run_id: str, **where: Any) -> Any:
        self.reads += 1
        if self.broken:
            raise Unavailable("the store does not answer now")
        return await self.store.history(run_id, **where)


@pytest.fixture
async def run(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


@pytest.fixture
def counting(store: Store) -> Any:
    return Counting(store)


async def happen(store: Store, run: str, count: int = 1) -> None:
    shard = (await store.shards(run))[0]
    notes = tuple(history_entry(HistoryKind.CONFIRMED, run=run, shard=0, at=1.0) for _ in range(count))
    await store.record([ShardWrite(shard=shard.with_rev(shard.rev + 1), history=notes)], {})


async def test_what_many_follow_is_read_once(counting: Any, run: str) -> None:
    """Otherwise each change costs a read and an encoding for each of three hundred streams."""
    feed = EventFeed(counting, run, pause_seconds=0.0)
    first = await asyncio.gather(*(feed.page(0) for _ in range(50)))
    await happen(counting.store, run)
    second = await asyncio.gather(*(feed.page(first[0].last) for _ in range(50)))

    assert counting.reads == 2
    assert len({page.text for page in second}) == 1
    assert second[0].text.count(b"event: Confirmed") == 1


async def test_nothing_that_was_committed_before_the_question_is_missing(counting: Any, run: str) -> None:
    """A page that was read before a change must not be given to one who was woken by it."""
    feed = EventFeed(counting, run, pause_seconds=0.0)
    last = (await feed.page(0)).last
    for _ in range(5):
        assert not (await feed.page(last)).text
        await happen(counting.store, run)
        assert (await feed.page(last)).text.count(b"event: Confirmed") == 1
        last = (await feed.page(last)).last


async def test_a_full_page_outlives_a_change(counting: Any, run: str) -> None:
    """What has happened does not change: who comes later to a long history reads what others have read."""
    await happen(counting.store, run, PAGE_ENTRIES)
    feed = EventFeed(counting, run, pause_seconds=0.0)
    first = await feed.page(0)
    await happen(counting.store, run)
    again = await feed.page(0)

    assert (first.full, again is first, counting.reads) == (True, True, 1)


async def test_changes_in_quick_succession_are_sent_together(counting: Any, run: str) -> None:
    """A run of a thousand shards changes 200 times a second: its streams have it ten times a second."""
    feed = EventFeed(counting, run, pause_seconds=60.0)
    last = (await feed.page(0)).last
    await happen(counting.store, run)
    await feed.page(last)
    await happen(counting.store, run)
    waiting = asyncio.create_task(feed.page(last))
    await asyncio.wait([waiting], timeout=0.05)

    assert (waiting.done(), counting.reads) == (False, 2)
    waiting.cancel()


async def test_a_read_that_failed_is_tried_again(counting: Any, run: str) -> None:
    """And not remembered for all who come later."""
    feed = EventFeed(counting, run, pause_seconds=0.0)
    counting.broken = True
    with pytest.raises(Unavailable):
        await feed.page(0)
    counting.broken = False

    assert (await feed.page(0)).text


async def test_a_feed_ends_with_its_last_follower(store: Store, run: str) -> None:
    """What nobody follows any more must not be kept."""
    feeds = EventFeeds()
    with (
        feeds.feed(store, run, pause_seconds=0.0) as one,
        feeds.feed(store, run, pause_seconds=0.0) as other,
    ):
        assert one is other
    with feeds.feed(store, run, pause_seconds=0.0) as later:
        assert later is not one
