"""A cluster adapter for tests that gives the answers and events that a test has set."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Self

from clusters.errors import ClusterError
from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk

STATUS = ClusterStatus(
    region="beijing", incarnation="journal", boot="boot", uptime=1.0, slots=10, held=0, seq=0
)
HELLO = Hello(status=STATUS, attempts=((AttemptId(run="run", shard=0, epoch=1), True),))


class ScriptedCluster:
    """A `ClusterAdapter` that gives the answers, events and log chunks that a test has set.

    After `events` or `chunks` comes `failure`, or the stream stays open unless it `ends`.
    """

    def __init__(self) -> None:
        self.applied: list[Batch] = []
        self.asked: list[object] = []
        self.events: Sequence[ClusterEvent] = ()
        self.chunks: Sequence[LogChunk] = ()
        self.failure: ClusterError | None = None
        self.ends = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.open_streams = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def apply(self, batch: Batch) -> BatchAnswers:
        self.applied.append(batch)
        await self.answering.wait()
        if self.failure is not None:
            raise self.failure
        return BatchAnswers(status=STATUS)

    async def attempts(self) -> Hello:
        return HELLO

    async def probe(self) -> ClusterStatus:
        return (await self.apply(Batch())).status

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        self.asked.append((cursor, incarnation))
        self.open_streams += 1
        try:
            for event in self.events:
                yield event
            await self._end()
        finally:
            self.open_streams -= 1

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        self.asked.append((attempt, task, offset, follow))
        for chunk in self.chunks:
            yield chunk
        await self._end()

    async def _end(self) -> None:
        if self.failure is not None:
            raise self.failure
        if not self.ends:
            await asyncio.Event().wait()
