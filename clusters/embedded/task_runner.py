"""The tries that go on in one cluster: each is started, may be killed, and is told of once when nothing of it is left."""

import asyncio
import time
from collections.abc import Callable, Container, Mapping

from loguru import logger

from clusters.embedded.executors.interface import Executor
from clusters.embedded.executors.run_lease import RunLease
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import StateFolder
from clusters.protocol import AttemptId

Ended = Callable[[Launch, Outcome], None]


class Tries:
    """`ended` gets each try with how it ended."""

    def __init__(self, state_folder: StateFolder, executors: Mapping[str, Executor], ended: Ended) -> None:
        self._state_folder, self._executors, self._ended = state_folder, executors, ended
        self._going: dict[tuple[AttemptId, str], asyncio.Task[Outcome]] = {}
        self._leases: dict[AttemptId, RunLease] = {}

    def __len__(self) -> int:
        return len(self._going)

    def start(self, launch: Launch) -> None:
        task = asyncio.create_task(self._execute(launch), name=f"{launch.attempt.run}/{launch.task.name}")
        self._going[(launch.attempt, launch.task.name)] = task
        task.add_done_callback(lambda done: self._done(launch, done))

    def kill(self, attempt: AttemptId, task: str) -> None:
        """Once only: what is ending already takes its time."""
        going = self._going.get((attempt, task))
        if going is not None and not going.cancelling():
            going.cancel()

    async def kill_all(self) -> None:
        """Returns when nothing is left of them, and each has been told of."""
        going = dict(self._going)
        for attempt, task in going:
            self.kill(attempt, task)
        await asyncio.gather(*going.values(), return_exceptions=True)

    def renew(self, attempt: AttemptId, until: float) -> None:
        """The lease of an exclusive attempt; `until` on the machine's monotonic clock."""
        self._leases.setdefault(attempt, RunLease()).renew(until)

    def forget_leases(self, kept: Container[tuple[str, int]]) -> None:
        """Of shards that are not `kept`."""
        self._leases = {
            attempt: lease for attempt, lease in self._leases.items() if (attempt.run, attempt.shard) in kept
        }

    def _done(self, launch: Launch, done: asyncio.Task[Outcome]) -> None:
        """In a callback, since a try that is cancelled before it began never runs a line of its own."""
        del self._going[(launch.attempt, launch.task.name)]
        if done.cancelled():
            outcome = Outcome(succeeded=False, killed=True, reason="killed")
        elif (
            error := done.exception()
        ) is not None:  # an executor may be a third party's: its mistake must not hold the shard for ever
            logger.opt(exception=error).error(
                "the executor {} failed at task {}", launch.task.type, launch.task.name
            )
            outcome = Outcome(succeeded=False, reason=f"the executor failed: {type(error).__name__}")
        else:
            outcome = done.result()
        self._ended(launch, outcome)

    async def _execute(self, launch: Launch) -> Outcome:
        folders = self._state_folder.task_folders(launch.attempt, launch.task.name)
        try:
            for folder in (folders.workspace, folders.scratch, folders.log.parent):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return Outcome(
                succeeded=False, lost=True, reason=f"this cluster has no place for it: {error.strerror}"
            )
        lease = self._leases.setdefault(launch.attempt, RunLease()) if launch.exclusive else None
        if lease is not None and lease.expires_at <= time.monotonic():
            return Outcome(succeeded=False, killed=True, reason="its lease has ended")
        try:
            async with asyncio.timeout(launch.task.timeout_seconds):
                return await self._executors[launch.task.type].execute(launch, folders, lease)
        except TimeoutError:
            return Outcome(succeeded=False, reason=f"timed out after {launch.task.timeout_seconds:g} s")
