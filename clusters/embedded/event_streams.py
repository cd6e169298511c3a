"""The event streams of an embedded cluster to its gateway: journalled events, lease requests, heartbeats."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

from loguru import logger

from clusters.embedded.commit_loop import CommitLoop
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.embedded.storage.journal import read_events
from clusters.errors import ClusterError
from clusters.protocol import Beat, ClusterEvent, JournalledEvent, LeaseAsked
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_group_commit import Database

BEAT_SECONDS = 1.0
"""The idle seconds after which a stream sends a heartbeat."""
EVENTS_AT_ONCE = 500


class EventStream:
    """One open event stream to a gateway, with the run-lease requests still to be sent on it.

    Of each attempt only the newest request is kept.
    """

    def __init__(self, requests: Iterable[LeaseAsked]) -> None:
        self.news = asyncio.Event()
        """The event that is set when there is anything to send, journalled events included."""
        self._requests = {request.attempt: request for request in requests}

    def notify(self, requests: Iterable[LeaseAsked]) -> None:
        self._requests.update((request.attempt, request) for request in requests)
        self.news.set()

    def pop_requests(self) -> list[LeaseAsked]:
        requests, self._requests = list(self._requests.values()), {}
        return requests


class EventStreams:
    """All open event streams from one embedded cluster (node) to gateways.

    Every stream carries every event and lease request, since any of them may be half open, without a reader.
    """

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        commits: CommitLoop,
        *,
        uptime: Callable[[], float],
    ) -> None:
        self._database, self._scheduler, self._commits, self._uptime = database, scheduler, commits, uptime
        self._open: set[EventStream] = set()

    def notify(self, step: Step) -> None:
        """Wakes the open event streams if a journalled scheduler decision has anything to send on them."""
        if step.lease_requests or step.events:
            for stream in self._open:
                stream.notify(step.lease_requests)

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        """Yields `Hello`, then journalled events after `cursor`, run-lease requests and heartbeats.

        `cursor` is the number (seq) of an event in the journal with the id `incarnation`. Raises
        `ClusterError`: `Restored` where events after `cursor` were acknowledged and are gone, `Unavailable`
        where the journal does not answer.
        """
        cursor = await self._start_of(cursor, incarnation)
        stream = EventStream(self._scheduler.pending_lease_requests())
        self._open.add(stream)
        try:
            yield self._scheduler.hello(self._uptime())
            while True:
                # Before reading: what comes while events are read or sent sets it again.
                stream.news.clear()
                for request in stream.pop_requests():
                    yield request
                after = cursor
                for event in await self._events(after):
                    cursor = event.seq
                    yield event
                if cursor == after and not await _is_set_within(stream.news, BEAT_SECONDS):
                    yield Beat(status=self._scheduler.status(self._uptime()))
        finally:
            self._open.discard(stream)

    async def _start_of(self, cursor: int, incarnation: str) -> int:
        """Returns the event number (seq) after which a stream begins: `cursor`, or 0 for another journal.

        `cursor` is the number of an event in the journal with the id `incarnation`. Where the cluster's
        journal has that id but is behind `cursor`, it gets a new id first. Raises `ClusterError` (`Restored`)
        where events after `cursor` were acknowledged and are gone.
        """
        scheduler = self._scheduler
        if incarnation == scheduler.incarnation and cursor > scheduler.seq:
            # A copy of the journal was put back. Under the same name, new events would have the numbers of
            # events that the gateway has seen.
            logger.error(
                "the journal is behind what the gateway has seen: "
                "it was restored, and takes a new incarnation"
            )
            step = scheduler.change_incarnation(uuid.uuid4().hex, self._uptime(), time.time())
            await self._commits.commit(step)
        if incarnation != scheduler.incarnation:
            return 0
        if cursor < scheduler.acknowledged:
            # The gateway's store was restored: without the events between, it would run finished tasks again.
            raise ClusterError(
                "Restored",
                f"events up to {scheduler.acknowledged} were acknowledged and are gone; "
                f"the store knows those up to {cursor}",
                retryable=False,
            )
        return cursor

    async def _events(self, after: int) -> list[JournalledEvent]:
        try:
            return await self._database.read(partial(read_events, after=after, limit=EVENTS_AT_ONCE))
        except StorageError as error:
            raise ClusterError("Unavailable", "the journal does not answer") from error


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
