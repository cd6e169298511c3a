"""One cluster in one process: journals each step of the scheduler, and only then acts on it.

Satisfies `clusters.interface.ClusterAdapter`, so that a conformance suite and the HTTP server see the same thing.
"""

import asyncio
import math
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Self

from loguru import logger
from msgspec import Struct

from clusters.embedded.executors.registry import EXCLUSIVE, EXECUTORS, RUN_TYPES, ExecutorContext
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.scheduling.ownership import Owner, taken
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.step import Step
from clusters.embedded.storage.journal import open_journal, read_events, write_steps
from clusters.embedded.storage.state_folder import StateFolder
from clusters.embedded.storage.task_logs import read_log
from clusters.embedded.task_runner import Tries
from clusters.errors import ClusterError
from clusters.protocol import (
    AttemptId,
    Batch,
    BatchAnswers,
    Beat,
    ClusterEvent,
    ClusterStatus,
    Hello,
    JournalledEvent,
    LeaseAsked,
    LogChunk,
)
from waypost.sqlite_database import Database, StorageError

BEAT_SECONDS = 1.0
EVENTS_AT_ONCE = 500
SWEEP_SECONDS = 3600.0
COMMIT_SECONDS = 4.0
"""A journal that takes longer has not answered; what was decided stays decided, and is written when it can be."""


class NodeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cluster. `cpu` bounds the processors that tasks ask for at once, `slots` the attempts held. Raises `ValueError`."""

    region: str
    state: str
    cpu: float = float(os.cpu_count() or 1)
    slots: int = 2_000
    adopt: bool = False
    """Take the first gateway that calls for the owner, whoever that was before."""

    def __post_init__(self) -> None:
        if not 0.001 <= self.cpu < math.inf or self.slots < 1:
            raise ValueError(f"a cluster needs processors and slots: it has {self.cpu:g} and {self.slots}")


class Watcher:
    """One event stream, and the leases that it is still to ask for: the newest of each attempt."""

    def __init__(self, asks: Iterable[LeaseAsked]) -> None:
        self.news = asyncio.Event()
        self._asks = {ask.attempt: ask for ask in asks}

    def tell(self, asks: Iterable[LeaseAsked]) -> None:
        self._asks.update((ask.attempt, ask) for ask in asks)
        self.news.set()

    def take(self) -> list[LeaseAsked]:
        asks, self._asks = list(self._asks.values()), {}
        return asks


class Node:
    """Owns its state folder: journal, workspaces, logs."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._root = Path(settings.state)
        self._state_folder = StateFolder(self._root)
        self._stack = AsyncExitStack()
        self._steps: list[tuple[Step, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._watchers: set[Watcher] = set()
        self.committer: asyncio.Task[None]
        """Never ends by itself: where it does, the journal cannot be written any more, and the process must end."""
        self.swept = asyncio.Event()
        """The files of the past are gone."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._booted = time.monotonic()
        self._root.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            self._database = await stack.enter_async_context(Database(self._root / "journal.db"))
            recovered = await self._database.write(open_journal)
            if self._settings.adopt:
                recovered.owner = Owner()
            context = ExecutorContext(region=self._settings.region, workspaces=self._state_folder.workspaces)
            executors = {
                name: await stack.enter_async_context(entry.build(context))
                for name, entry in EXECUTORS.items()
            }
            self._tries = Tries(self._state_folder, executors, self._ended)
            settings = self._settings
            self._scheduler = Scheduler(
                recovered,
                region=settings.region,
                boot=uuid.uuid4().hex,
                cpu=settings.cpu,
                slots=settings.slots,
                executors=RUN_TYPES,
                exclusive=EXCLUSIVE,
            )
            self.committer = asyncio.create_task(self._commit_steps(), name="commit")
            self._sweeper = asyncio.create_task(self._sweep(), name="sweep")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kills what runs: without its gateway's word nothing goes on, and the journal knows what was finished."""
        self._scheduler.close()
        self._closing = True
        await self._tries.kill_all()
        self.committer.cancel()
        self._sweeper.cancel()
        if self._timer is not None:
            self._timer.cancel()
        await self._stack.aclose()

    @property
    def _now(self) -> float:
        return time.monotonic() - self._booted

    async def claim(self, claim: Owner) -> None:
        """To come before each call of a gateway. Raises `ClusterError` where this cluster works for another store."""
        if (owner := taken(self._scheduler.owner, claim)) is not None:
            logger.info(
                "the cluster of {} works for the store {}, era {}",
                self._settings.region,
                owner.store,
                owner.era,
            )
            await self._durable(self._scheduler.owned(owner, self._now, time.time()))

    # ClusterAdapter

    async def apply(self, batch: Batch) -> BatchAnswers:
        if batch.incarnation not in ("", self._scheduler.incarnation):
            raise ClusterError("OtherJournal", f"this is {self._scheduler.incarnation:.8}", retryable=False)
        answers, step = self._scheduler.apply(batch, self._now, time.time())
        await self._durable(step, probe=True)
        return self._scheduler.held(answers)

    async def attempts(self) -> Hello:
        return self._scheduler.hello(self._now)

    async def probe(self) -> ClusterStatus:
        return (await self.apply(Batch())).status

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        if incarnation == self._scheduler.incarnation and cursor > self._scheduler.seq:
            logger.error(
                "the journal is behind what the gateway has seen: it was restored, and takes a new incarnation"
            )
            await self._durable(self._scheduler.restored(uuid.uuid4().hex, self._now, time.time()))
        if incarnation != self._scheduler.incarnation:
            cursor = 0
        elif cursor < self._scheduler.acknowledged:
            detail = f"events up to {self._scheduler.acknowledged} were acknowledged and are gone; the store knows those up to {cursor}"
            raise ClusterError("Restored", detail, retryable=False)
        watcher = Watcher(self._scheduler.asked())
        self._watchers.add(watcher)
        try:
            yield self._scheduler.hello(self._now)
            while True:
                watcher.news.clear()
                for ask in watcher.take():
                    yield ask
                after = cursor
                for event in await self._events(after):
                    cursor = event.seq
                    yield event
                if cursor == after and not await _set_within(watcher.news, BEAT_SECONDS):
                    yield Beat(status=self._scheduler.status(self._now))
        finally:
            self._watchers.discard(watcher)

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        path = self._state_folder.task_folders(attempt, task).log
        async for chunk in read_log(
            path, offset=offset, is_running=lambda: follow and self._scheduler.running(attempt, task)
        ):
            yield chunk

    # Journal first

    async def _durable(self, step: Step, *, probe: bool = False) -> None:
        """Returns when the step is journalled. Raises `ClusterError` where that takes too long: it is still written when it can be."""
        if not step.has_records and not probe:
            self._act(step)
            return
        done = self._submit(step)
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await asyncio.shield(done)
        except TimeoutError:
            raise ClusterError("Unavailable", "the journal does not take writes") from None

    def _submit(self, step: Step) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        self._steps.append((step, done))
        self._wake.set()
        return done

    async def _commit_steps(self) -> None:
        """Writes whatever has come together, in order, again and again until it is written; then acts on it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._steps = self._steps, []
            if not group:
                continue
            steps = [step for step, _ in group]
            while True:
                self._scheduler.expire([*steps, *(step for step, _ in self._steps)], self._now)
                try:
                    await self._database.write(partial(write_steps, steps=steps, wall=time.time()))
                    break
                except StorageError as error:
                    logger.error("{}", error)
                    await asyncio.sleep(0.5)
            for step, done in group:
                self._act(step)
                if not done.done():
                    done.set_result(None)

    def _act(self, step: Step) -> None:
        for launch in () if self._closing else step.launches:
            self._tries.start(launch)
        for identity, task in step.kills:
            self._tries.kill(identity, task)
        for identity, until in step.leases:
            self._tries.renew(identity, self._booted + until)
        if step.lease_requests or step.events:
            for watcher in self._watchers:
                watcher.tell(step.lease_requests)
        self._set_timer()

    def _set_timer(self) -> None:
        at = self._scheduler.next_timer
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(self._booted + max(at, 0.0), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._take(self._scheduler.tick(self._now, time.time()))

    def _ended(self, launch: Launch, outcome: Outcome) -> None:
        self._take(
            self._scheduler.finished(launch.attempt, launch.task.name, outcome, self._now, time.time())
        )

    def _take(self, step: Step) -> None:
        if step.has_records:
            self._submit(step)
        else:
            self._act(step)

    async def _events(self, after: int) -> list[JournalledEvent]:
        try:
            return await self._database.read(partial(read_events, after=after, limit=EVENTS_AT_ONCE))
        except StorageError as error:
            raise ClusterError("Unavailable", "the journal does not answer") from error

    async def _sweep(self) -> None:
        """Forgets what is old, now and then, and removes files of shards that the journal does not know."""
        while True:
            await self._submit(self._scheduler.forget(self._now, time.time()))
            try:
                found = await self._loop.run_in_executor(None, self._state_folder.shards_on_disk)
                kept = self._scheduler.shards
                self._tries.forget_leases(kept)
                self._state_folder.move_to_trash(found - kept)
                await self._loop.run_in_executor(None, self._state_folder.empty_trash)
            except OSError as error:
                logger.error("files of forgotten shards stay for now: {}", error)
            self.swept.set()
            await asyncio.sleep(SWEEP_SECONDS)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
