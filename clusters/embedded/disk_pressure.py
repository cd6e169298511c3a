"""Frees space on a cluster's nearly full disk by evicting shards, of the run that uses the most space."""

import asyncio
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from loguru import logger
from msgspec import Struct

from clusters.embedded.garbage_collection import GarbageCollector
from clusters.embedded.storage.disk_usage import FreeSpace, free_space_on, usage_of_shards
from clusters.embedded.storage.state_folder import StateFolder
from clusters.embedded.task_runner import TaskRunner
from clusters.protocol import AttemptId

CHECK_SECONDS = 0.1
"""The seconds between two checks of the disk.

Meanwhile it can take a few hundred MiB, which the reserve must have.
"""
WARN_SECONDS = 60.0


class Eviction(Struct, frozen=True, kw_only=True):
    """The decision to evict a shard to free disk space: its files are removed and its tasks fail."""

    shard: tuple[str, int]
    reason: str


class DiskPressure:
    """Evicts shards (removes their files, fails their tasks) while the disk has too little free space.

    A full disk would end the region's work, and that of the next region after the failover. Of the run that
    uses most space, the largest shard is evicted first: its tasks fail with the reason, and its files are
    removed, except its logs. A shard that has ended on this cluster loses its files too, before their
    retention is over. `attempts` gives the attempts that the node holds; `count` is called for each eviction.
    """

    def __init__(
        self,
        state_folder: StateFolder,
        task_runner: TaskRunner,
        garbage_collector: GarbageCollector,
        *,
        attempts: Callable[[], Iterable[AttemptId]],
        count: Callable[[], None],
    ) -> None:
        self._state_folder, self._task_runner = state_folder, task_runner
        self._garbage_collector, self._attempts, self._count = garbage_collector, attempts, count
        self._warned_at = float("-inf")

    async def run(self) -> None:
        """Checks the disk every `CHECK_SECONDS`, and evicts a shard if space is short, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self._look()
            except (OSError, subprocess.SubprocessError) as error:
                self._warn(f"the disk cannot be looked at: {error}")

    async def _look(self) -> None:
        root = self._state_folder.root
        room = free_space_on(root)
        if not room.short:
            return
        usage = await asyncio.to_thread(usage_of_shards, root, room.unit)
        eviction = next_eviction(usage, room)
        if eviction is None:
            self._warn(f"the disk has less than {_amount(room.reserve, room)} left, and no run takes it")
            return
        (run, shard), reason = eviction.shard, eviction.reason
        self._count()
        logger.bind(run=run, shard=shard).error("shard {} of run {} loses its files: {}", shard, run, reason)
        attempts = [attempt for attempt in self._attempts() if (attempt.run, attempt.shard) == eviction.shard]
        ended = self._task_runner.evict(attempts, reason)
        # At once: a process that does not heed SIGTERM has two seconds more, in which the disk stays full.
        await self._remove(eviction.shard)
        await ended
        await self._remove(eviction.shard)

    async def _remove(self, shard: tuple[str, int]) -> None:
        await self._garbage_collector.empty_trash(self._state_folder.move_data_to_trash([shard]))

    def _warn(self, what: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._warned_at + WARN_SECONDS:
            self._warned_at = now
            logger.warning("{}", what)


def next_eviction(usage: Mapping[tuple[str, int], int], room: FreeSpace) -> Eviction | None:
    """Decides which shard to evict for disk space: the largest one of the run that uses the most space.

    `usage` is the disk usage of each shard; `room` is the free space and the reserve, the space that is to be
    free. Returns None where that run uses less than the reserve: then something else fills the disk, such as
    the tasks of another region.
    """
    runs = defaultdict[str, int](int)
    for (run, _), amount in usage.items():
        runs[run] += amount
    largest = max(runs, key=lambda run: runs[run], default=None)
    if largest is None or runs[largest] < room.reserve:
        return None
    shard = max((shard for shard in usage if shard[0] == largest), key=lambda shard: usage[shard])
    reason = (
        f"the disk of this cluster has less than {_amount(room.reserve, room)} left, "
        f"and this run takes {_amount(runs[largest], room)} of it"
    )
    return Eviction(shard=shard, reason=reason)


def _amount(amount: int, room: FreeSpace) -> str:
    return f"{amount >> 20} MiB" if room.unit == "MiB" else f"{amount} files"
