"""Garbage collection of a cluster: removes expired records, and the files of shards without records."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from loguru import logger

from clusters.embedded.commit_loop import CommitLoop
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.storage.state_folder import StateFolder
from clusters.embedded.task_runner import TaskRunner

INTERVAL_SECONDS = 3600.0
BATCH = 200
"""The number of shards whose files are moved to the trash before other tasks of the event loop run."""


class GarbageCollector:
    """Removes expired records, and files of shards without records, at the cluster's start and hourly.

    `collected` is an event that is set when the first collection is complete.
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
        self._closing = threading.Event()
        self.collected = asyncio.Event()

    async def run(self) -> None:
        """Removes records and files past their retention every `INTERVAL_SECONDS`, until cancelled."""
        try:
            while True:
                await self._commits.submit(self._scheduler.remove_expired(self._uptime(), time.time()))
                await self._remove_files()
                self.collected.set()
                await asyncio.sleep(INTERVAL_SECONDS)
        finally:
            self._closing.set()

    async def _remove_files(self) -> None:
        """Removes the files of shards unknown to the scheduler; logs the files that cannot be removed.

        Unknown are the shards whose records have just expired, and those left on disk by a crash between a
        write to the journal and one to the disk.
        """
        # In this order: a shard that is created while the disk is read must be among those that are kept.
        try:
            found = await asyncio.to_thread(self._state_folder.shards_on_disk)
        except OSError as error:
            logger.error("files of forgotten shards stay for now: {}", error)
            return
        errors = list[OSError]()
        for batch in _batches(found, BATCH):
            kept = self._scheduler.shards
            errors += self._state_folder.move_to_trash(shard for shard in batch if shard not in kept)
            # Every call of the gateway waits while this one moves files.
            await asyncio.sleep(0)
        self._task_runner.forget_shards_except(self._scheduler.shards)
        await self.empty_trash(errors)

    async def empty_trash(self, errors: Sequence[OSError] = ()) -> None:
        """Deletes everything in the trash folder, in a thread, and logs what could not be removed.

        The next call tries again what is left. `errors`, from an earlier part of the collection, are logged
        too.
        """
        remaining = [*errors, *await asyncio.to_thread(self._state_folder.empty_trash, self._closing.is_set)]
        if remaining:
            logger.error("{} files of forgotten shards stay for now: {}", len(remaining), remaining[0])


def _batches(shards: Iterable[tuple[str, int]], size: int) -> Iterator[list[tuple[str, int]]]:
    remaining = iter(shards)
    while batch := list(itertools.islice(remaining, size)):
        yield batch
