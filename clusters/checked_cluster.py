"""Wraps the adapter of any kind of cluster, and checks each answer, event and piece of a log from it.

`clusters/registry.py` wraps each adapter that it creates, so that the gateway believes no unchecked answer.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Self, TypeVar

from msgspec.json import Decoder

from clusters.answer_checks import StreamChecks, check_status, checked_answers, within_bounds
from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter, ListsWaits, TimesLogs
from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk
from clusters.task_waits import TaskWaits

T = TypeVar("T")

ANSWERS: Final[Decoder[BatchAnswers]] = Decoder(BatchAnswers)
HELLO: Final = Decoder(Hello)
EVENT: Final[Decoder[ClusterEvent]] = Decoder(ClusterEvent)
STATUS: Final = Decoder(ClusterStatus)
CHUNK: Final = Decoder(LogChunk)
WAITS: Final = Decoder(TaskWaits)


class CheckedCluster:
    """Calls the cluster of `region` through `adapter` and checks its answers. Implements `ClusterAdapter`.

    Raises `ClusterError` (`BadAnswer`) for an answer that breaks the protocol. `bounds_checked` says that the
    adapter has checked the types and bounds of single fields already; only the other checks are made then.
    """

    def __init__(self, adapter: ClusterAdapter, *, region: str, bounds_checked: bool = False) -> None:
        self.adapter = adapter
        self._region, self._bounds_checked = region, bounds_checked

    def __repr__(self) -> str:
        return f"CheckedCluster({self.adapter!r} of {self._region})"

    async def __aenter__(self) -> Self:
        await self.adapter.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.adapter.__aexit__(*error)

    async def apply(self, batch: Batch) -> BatchAnswers:
        answers = self._read(await self.adapter.apply(batch), ANSWERS)
        return checked_answers(answers, batch, self._region)

    async def attempts(self) -> Hello:
        hello = self._read(await self.adapter.attempts(), HELLO)
        check_status(hello.status, self._region)
        return hello

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        checks = StreamChecks(self._region, cursor=cursor, incarnation=incarnation)
        events = self.adapter.watch(cursor, incarnation)
        try:
            async for event in events:
                yield checks.checked(self._read(event, EVENT))
        finally:
            await _close(events)

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncGenerator[LogChunk, None]:
        chunks = self._checked_chunks(self.adapter.logs(attempt, task, offset=offset, follow=follow), offset)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def timed_logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        """Yields the chunks of a log with the times of their writing, as far as these are known."""
        begun = False
        if isinstance(self.adapter, TimesLogs):
            timed = self.adapter.timed_logs(attempt, task, offset=offset, follow=follow)
            try:
                async with aclosing(self._checked_chunks(timed, offset)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except ClusterError as error:
                # A cluster of an earlier version does not know the call, and says the same of it as of a log.
                if begun or error.reason != "NotFound":
                    raise
        async with aclosing(self.logs(attempt, task, offset=offset, follow=follow)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _checked_chunks(
        self, chunks: AsyncIterator[LogChunk], last: int
    ) -> AsyncGenerator[LogChunk, None]:
        """Yields the chunks of a log that is read from byte `last` on, checked."""
        try:
            async for chunk in chunks:
                checked = self._read(chunk, CHUNK)
                # A reader goes on at the last offset: with one that does not grow it would go on for ever.
                if checked.offset <= last:
                    raise ClusterError("BadAnswer", f"a piece of a log at {last} ends at {checked.offset}")
                last = checked.offset
                yield checked
        finally:
            await _close(chunks)

    async def waits(self, attempt: AttemptId) -> TaskWaits:
        """Returns what an attempt's tasks wait for; nothing where the engine does not say."""
        if not isinstance(self.adapter, ListsWaits):
            return TaskWaits(waits=())
        return self._read(await self.adapter.waits(attempt), WAITS)

    async def probe(self) -> ClusterStatus:
        status = self._read(await self.adapter.probe(), STATUS)
        check_status(status, self._region)
        return status

    def _read(self, said: T, decoder: Decoder[T]) -> T:
        return said if self._bounds_checked else within_bounds(said, decoder)


async def _close(stream: AsyncIterator[object]) -> None:
    # A connection may be behind it, which would stay open until the garbage is collected.
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
