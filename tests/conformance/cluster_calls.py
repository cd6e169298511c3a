"""Calls of a cluster through its adapter, as the tests make them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from clusters.checked_cluster import CheckedCluster
from clusters.interface import ClusterAdapter
from clusters.protocol import (
    AttemptEnded,
    AttemptId,
    Batch,
    ClusterEvent,
    CreateOutcome,
    Fence,
    JournalledEvent,
    RunSpec,
    ShardSpec,
    TaskChanged,
    TaskResult,
)
from waypost.workflow.task import TaskSpec

PATIENCE_SECONDS = 10.0


class CheckedAdapter:
    """The fixtures of the conformance tests: the adapter under test, and that with the gateway's checks."""

    @pytest.fixture
    def adapter(self) -> ClusterAdapter:
        """Returns the adapter under test, entered; a subclass provides it."""
        raise NotImplementedError

    @pytest.fixture
    def cluster(self, adapter: ClusterAdapter) -> ClusterAdapter:
        """Returns the adapter with the gateway's checks: what they refuse is a fault of the adapter."""
        return CheckedCluster(adapter, region="beijing")


def attempt(run: str = "run", *, shard: int = 0, epoch: int = 1) -> AttemptId:
    return AttemptId(run=run, shard=shard, epoch=epoch)


def delay(name: str, *needs: str, seconds: float = 0.0) -> TaskSpec:
    return TaskSpec(name=name, type="delay", run={"seconds": seconds}, needs=needs)


async def create(
    cluster: ClusterAdapter, identity: AttemptId, *tasks: TaskSpec, results: Sequence[TaskResult] = ()
) -> CreateOutcome:
    """Sends one create, with a fence that ends in a minute, and returns its outcome."""
    status = await cluster.probe()
    spec = ShardSpec(
        attempt=identity, fence=Fence(boot=status.boot, not_after=status.uptime + 60), results=tuple(results)
    )
    answers = await cluster.apply(Batch(runs=(RunSpec(run=identity.run, tasks=tasks),), creates=(spec,)))
    return answers.creates[0].outcome


@asynccontextmanager
async def watching(
    cluster: ClusterAdapter, cursor: int = 0, incarnation: str = ""
) -> AsyncIterator[AsyncGenerator[ClusterEvent, None]]:
    stream = cast(AsyncGenerator[ClusterEvent, None], cluster.watch(cursor, incarnation))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield stream
    finally:
        await stream.aclose()


async def until_end(stream: AsyncGenerator[ClusterEvent, None], identity: AttemptId) -> list[JournalledEvent]:
    """Returns the journalled events of a stream up to the end of the attempt `identity`."""
    events: list[JournalledEvent] = []
    async for event in stream:
        if isinstance(event, TaskChanged | AttemptEnded):
            events.append(event)
        if isinstance(event, AttemptEnded) and event.attempt == identity:
            return events
    raise AssertionError(f"the stream ended before {identity}")
