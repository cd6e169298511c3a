"""Tests the I/O of one region: what is sent concurrently, and when a stream counts as silent."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from clusters.protocol import (
    AttemptId,
    Batch,
    BatchAnswers,
    Beat,
    ClusterEvent,
    ClusterStatus,
    Hello,
)
from gateway.reconciler.links import region_link
from gateway.reconciler.links.region_link import BATCHES_AT_ONCE, RegionLink
from gateway.reconciler.links.reports import BatchResult, Report, StreamEnded, StreamEvent
from gateway.settings import HealthSettings
from gateway.store.interface import Cursor

STATUS = ClusterStatus(region="a", incarnation="j", boot="b", uptime=1.0, slots=1, held=0, seq=0)
TOMBSTONE = (AttemptId(run="r", shard=0, epoch=1),)


class Held:
    """A fake cluster that answers when a test lets it; its stream goes silent after `beats` heartbeats."""

    def __init__(self, beats: int = 0) -> None:
        self.batches: list[Batch] = []
        self.arrived, self.let = asyncio.Event(), asyncio.Event()
        self.beats = beats

    async def apply(self, batch: Batch) -> BatchAnswers:
        self.batches.append(batch)
        self.arrived.set()
        await self.let.wait()
        return BatchAnswers(status=STATUS)

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        yield Hello(status=STATUS, attempts=())
        for _ in range(self.beats):
            yield Beat(status=STATUS)
        await asyncio.Event().wait()


def link_of(cluster: Held, changed: asyncio.Event, settings: HealthSettings | None = None) -> RegionLink:
    return RegionLink("a", cluster, settings=settings or HealthSettings(), wake=changed.set)  # type: ignore[arg-type]


async def test_an_acknowledgement_holds_up_no_batch() -> None:
    """Few batches are under way at a time: what is placed would wait for the answer to an acknowledgement."""
    cluster, changed = Held(), asyncio.Event()
    async with link_of(cluster, changed) as link:
        for seq in (1, 2, 3):
            link.send(Batch(incarnation="j", acknowledged=seq))
            await cluster.arrived.wait()
        assert link.can_send
        link.send(Batch(incarnation="j", tombstones=TOMBSTONE))
        link.send(Batch(incarnation="j", tombstones=TOMBSTONE))
        assert not link.can_send
        link.send(Batch(incarnation="j", tombstones=TOMBSTONE))  # one too many
        cluster.let.set()
        reports = list[Report]()
        while len(reports) < 2:
            await changed.wait()
            changed.clear()
            reports += link.drain()
        assert link.can_send

    assert [batch.acknowledged for batch in cluster.batches] == [1, 0, 0, 3]  # 2 is part of 3
    assert [type(report) for report in reports] == [BatchResult, BatchResult]


async def test_an_answered_batch_makes_room_before_it_wakes_the_controller() -> None:
    cluster, changed = Held(), asyncio.Event()
    room = list[bool]()

    def wake() -> None:
        room.append(link.can_send)
        changed.set()

    async with RegionLink("a", cluster, settings=HealthSettings(), wake=wake) as link:  # type: ignore[arg-type]
        for _ in range(BATCHES_AT_ONCE):
            link.send(Batch(incarnation="j", tombstones=TOMBSTONE))
        cluster.let.set()
        await changed.wait()

    assert room
    assert all(room)


async def test_a_stream_that_is_silent_is_opened_again() -> None:
    changed = asyncio.Event()
    settings = HealthSettings(silence_seconds=0.01)
    async with link_of(Held(), changed, settings) as link:
        link.reopen_stream(Cursor())
        found = list(link.drain())
        while not found or not isinstance(found[-1], StreamEnded):
            await changed.wait()
            changed.clear()
            found += link.drain()

    assert found[-1].reason == "Silent"


async def test_a_stream_that_nobody_reads_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the controller that is late, and the cluster that waits for it."""
    monkeypatch.setattr(region_link, "INBOX_LIMIT", 3)
    changed = asyncio.Event()
    settings = HealthSettings(silence_seconds=0.01)
    async with link_of(Held(beats=9), changed, settings) as link:
        link.reopen_stream(Cursor())
        while len(link._inbox) < 3:
            await changed.wait()
            changed.clear()
        await asyncio.sleep(0.03)  # three times as long as a stream may be silent
        assert all(isinstance(report, StreamEvent) for report in link.drain())
