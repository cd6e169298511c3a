"""A node by itself: what it tells whom, what it cannot be, and what it does not survive."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from clusters.embedded.main import _raise_descriptor_limit, _wait_until_stopped
from clusters.embedded.node import ClusterNode, ClusterNodeSettings
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.step import Step
from clusters.embedded.storage.journal import open_journal, read_events, write_steps
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    Batch,
    ClusterEvent,
    LeaseAsked,
    TaskChanged,
    TaskPhase,
)
from tests.clusters.embedded.working_node import SHARD, ended, process, start
from waypost.workflow.task import SideEffects, TaskSpec


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ClusterNode]:
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=4.0)) as node:
        yield node


@pytest.mark.parametrize(
    ("cpu", "slots"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (float("inf"), 1), (1.0, 0), (1.0, -5)]
)
def test_a_cluster_without_processors_or_slots_does_not_start(cpu: float, slots: int) -> None:
    """It would take work and never do it."""
    with pytest.raises(ValueError, match="needs processors and slots"):
        ClusterNodeSettings(region="beijing", state="state", cpu=cpu, slots=slots)


async def asked(stream: AsyncGenerator[ClusterEvent, None]) -> LeaseAsked:
    async with asyncio.timeout(10):
        return await anext(event async for event in stream if isinstance(event, LeaseAsked))


async def test_every_stream_hears_what_lease_is_asked_for(node: ClusterNode) -> None:
    """One of them may be half open, with nobody at its other end; and one that comes later must not wait for the next ask."""
    async with contextlib.AsyncExitStack() as stack:
        streams = [cast(AsyncGenerator[ClusterEvent, None], node.watch(0, "")) for _ in range(3)]
        for stream in streams:
            stack.push_async_callback(stream.aclose)
        for stream in streams[:2]:
            await anext(stream)
        await start(
            node, TaskSpec(name="a", type="delay", run={"seconds": 0}), side_effects=SideEffects.EXCLUSIVE
        )
        asks = [await asked(stream) for stream in streams]

    assert len({ask.ask for ask in asks}) == 1


async def test_a_committer_that_fails_ends_the_process(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would be durable any more, and every answer an excuse."""

    def broken(*_: object) -> None:
        raise LookupError("a mistake")

    async def write(*_: object) -> None:
        broken()

    monkeypatch.setattr(node._database, "write", write)
    asking = asyncio.create_task(node.apply(Batch()))
    async with asyncio.timeout(10):
        with pytest.raises(LookupError):
            await _wait_until_stopped(asyncio.Event(), node.committer)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_try_is_told_to_end_once(node: ClusterNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor that is ending it must not be interrupted by every tombstone that is sent again."""
    ending, over = asyncio.Event(), asyncio.Event()

    async def execute(*_: object) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await over.wait()
        return Outcome(succeeded=True)

    monkeypatch.setattr(node._task_runner._executors["delay"], "execute", execute)
    await start(node, TaskSpec(name="a", type="delay", run={"seconds": 0}))
    await node.apply(Batch(tombstones=(SHARD,)))
    await ending.wait()
    await node.apply(Batch(tombstones=(SHARD,)))
    await asyncio.sleep(0)
    assert not (await node.apply(Batch(tombstones=(SHARD,)))).tombstones[0].gone

    over.set()
    while not (await node.apply(Batch(tombstones=(SHARD,)))).tombstones[0].gone:
        await asyncio.sleep(0)


async def test_without_descriptors_a_try_still_ends(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started with the last of them."""

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("clusters.embedded.executors.process.child_exit.os.pidfd_open", none_left)
    await start(node, process("a", "true"))

    assert (await ended(node)).end is AttemptEndKind.SUCCEEDED


async def test_without_descriptors_an_attempt_is_lost(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another cluster has some."""

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("clusters.embedded.executors.process.process_spec.open_regular", none_left)
    await start(node, process("a", "true"))

    assert (await ended(node)).end is AttemptEndKind.LOST


def test_a_cluster_may_open_as_much_as_the_machine_permits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual limit of 1,024 is three hundred tries; but not so much that programs which close everything take a minute for it."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr("clusters.embedded.main.resource.getrlimit", lambda _: (1_024, 1 << 30))
    monkeypatch.setattr("clusters.embedded.main.resource.setrlimit", lambda _, limit: limits.append(limit))
    _raise_descriptor_limit()

    assert limits == [(65_536, 1 << 30)]


async def test_a_clean_stop_starts_nothing(tmp_path: Path) -> None:
    """What it ends makes room for what waits: that would be started, and killed at once."""
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=1.0)) as node:
        await start(node, process("a", "sleep", "300"), process("b", "touch", str(tmp_path / "b")))
    assert not (tmp_path / "b").exists()
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=1.0)) as node:
        assert (await node.attempts()).attempts == ((SHARD, False),)


def test_a_journal_of_the_first_days_is_read(tmp_path: Path) -> None:
    """Columns have been added since."""
    db = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    open_journal(db)
    db.execute("alter table task drop column due")
    db.execute("alter table attempt drop column failed")
    open_journal(db)
    open_journal(db)
    assert {"due"} <= {row[1] for row in db.execute("pragma table_info(task)")}
    db.close()


def test_large_events_are_read_a_few_at_a_time() -> None:
    """Five hundred of them would be 32 MB for each stream."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    open_journal(db)
    step = Step(now=0.0, wall=0.0)
    for seq in range(1, 201):
        output = "x" * 60_000
        step.events.append(
            TaskChanged(
                seq=seq,
                attempt=SHARD,
                task="a",
                phase=TaskPhase.SUCCEEDED,
                tries=1,
                started_at=0.0,
                output=output,
            )
        )
    step.events.append(AttemptEnded(seq=201, attempt=SHARD, end=AttemptEndKind.SUCCEEDED))
    write_steps(db, [step], 0.0)

    found = [event.seq for event in read_events(db, 0, 500)]

    assert found == list(range(1, len(found) + 1))
    assert len(found) < 100
    assert [event.seq for event in read_events(db, 199, 500)] == [200, 201]
