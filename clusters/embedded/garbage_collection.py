"""Garbage collection of a node: removes expired records, and files of shards of which nothing is kept."""

import asyncio
import time
from collections.abc import Callable

from loguru import logger

from clusters.embedded.commit_loop import CommitLoop
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.storage.state_folder import StateFolder
from clusters.embedded.task_runner import TaskRunner

INTERVAL_SECONDS = 3600.0


class GarbageCollector:
    """Removes expired records and the files of forgotten shards, at the start and then once an hour.

    `collected` is set after the first time.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        commits: CommitLoop,
        state_folder: StateFolder,
        task_runner: TaskRunner,
        *,
        uptime: Callable[[], float],
    ) -> None:
        self._scheduler, self._commits, self._uptime = scheduler, commits, uptime
        self._state_folder, self._task_runner = state_folder, task_runner
        self.collected = asyncio.Event()

    async def run(self) -> None:
        """Removes records and files past their retention every `INTERVAL_SECONDS`, until it is cancelled."""
        while True:
            await self._commits.submit(self._scheduler.remove_expired(self._uptime(), time.time()))
            try:
                await self._remove_files()
            except OSError as error:
                logger.error("files of forgotten shards stay for now: {}", error)
            self.collected.set()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _remove_files(self) -> None:
        """Removes the files of shards that the scheduler does not know. Raises `OSError`.

        They are not only those that have just expired: a crash between journal and disk leaves others.
        """
        # In this order: a shard that is created while the disk is read must be among those that are kept.
        found = await asyncio.to_thread(self._state_folder.shards_on_disk)
        kept = self._scheduler.shards
        self._task_runner.forget_leases_except(kept)
        self._state_folder.move_to_trash(found - kept)
        await asyncio.to_thread(self._state_folder.empty_trash)
