"""The commit loop of a node: writes the scheduler's decisions to the journal, then carries them out.

The decisions of one call of the scheduler are a step. The executions of tasks (tries) that a step starts or
kills are started or killed only when the records of the step are durable.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from loguru import logger

from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.embedded.storage.journal import write_steps
from clusters.errors import ClusterError
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_group_commit import Database

COMMIT_SECONDS = 4.0
"""The seconds that `commit` waits for its step to be journalled before it raises.

The step is still written, later.
"""
RETRY_SECONDS = 0.5
"""The pause in seconds before a failed write to the journal is repeated."""


class CommitLoop:
    """Writes the scheduler's decisions (steps) to the journal in order, and carries out each one after that.

    Steps that come together are written in one transaction. `uptime` gives the seconds since the node's boot;
    `act` carries out the actions of a step; `observe` is called with the seconds that each commit took.
    """

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        *,
        uptime: Callable[[], float],
        act: Callable[[Step], None],
        observe: Callable[[float], None],
    ) -> None:
        self._database, self._scheduler, self._uptime, self._act = database, scheduler, uptime, act
        self._observe = observe
        self._waiting: list[tuple[Step, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"CommitLoop({len(self._waiting)} steps waiting)"

    def submit(self, step: Step) -> asyncio.Future[None]:
        """Queues a scheduler decision (step); the returned future is done when it is carried out."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, done))
        self._wake.set()
        return done

    def carry_out(self, step: Step) -> None:
        """Has a scheduler decision (step) journalled and then carried out, without waiting for either.

        A step without records is carried out before the call returns.
        """
        if step.has_records:
            self.submit(step)
        else:
            self._act(step)

    async def commit(self, step: Step) -> None:
        """Queues a scheduler decision (step), and returns when it has been written to the journal.

        A step without records is journalled too: so a probe shows whether the journal takes writes. Raises
        `ClusterError` (`Unavailable`) after `COMMIT_SECONDS`.
        """
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await asyncio.shield(self.submit(step))
        except TimeoutError:
            raise ClusterError("Unavailable", "the journal does not take writes") from None

    async def run(self) -> None:
        """Writes queued scheduler decisions (steps) to the journal and carries each out, until cancelled.

        A `StorageError` is logged and the write repeated. Every other error is raised, and ends the loop.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._waiting = self._waiting, []
            if not group:
                continue
            await self._journal([step for step, _ in group])
            for step, done in group:
                self._act(step)
                # Cancelled, where its caller has gone meanwhile.
                if not done.done():
                    done.set_result(None)

    async def _journal(self, steps: list[Step]) -> None:
        """Writes the scheduler's decisions (steps) to the journal, and repeats the write until it succeeds.

        No step can be dropped: the scheduler's state includes it already.
        """
        while True:
            # Before each attempt: a create may have become late while the journal took no writes. Steps that
            # wait behind these are passed too: they may hold records of the same attempt, and the events of
            # tasks that start in its place must come after theirs.
            self._scheduler.withdraw_late_creates(
                [*steps, *(step for step, _ in self._waiting)], self._uptime()
            )
            began = time.monotonic()
            try:
                await self._database.write(partial(write_steps, steps=steps, wall=time.time()))
                self._observe(time.monotonic() - began)
                return
            except StorageError as error:
                logger.error("{}", error)
                await asyncio.sleep(RETRY_SECONDS)
