"""The worker processes of `python` tasks: which one serves a call, and when one is ended."""

import asyncio
import time
from typing import Final, Self

from clusters.embedded.executors.process.termination import finish_despite_cancellation
from clusters.embedded.executors.process.watchdog_client import WatchdogClient
from clusters.embedded.executors.python.settings import PythonSettings
from clusters.embedded.executors.python.worker_process import Worker
from waypost.cancellation import cancel_and_wait
from waypost.turns import Turns

CHECK_SECONDS: Final = 5.0


class WorkerPool:
    """At most `settings.most_workers` worker processes, within `async with`.

    A process serves calls of one tenant (fairness key) as long as it lives: what one has left in it, another
    must not find. Where all are in use or belong to others, the one that is idle longest gives way. Tenants
    that wait are served in rotation, however many calls each has.
    """

    def __init__(self, settings: PythonSettings, watchdog: WatchdogClient) -> None:
        self._settings, self._watchdog = settings, watchdog
        self._turns = Turns(settings.most_workers, share=settings.most_workers)
        self._busy = 0
        self._idle: list[tuple[float, Worker]] = []
        """The processes that wait for calls, each with the time since when, in this order."""

    def __repr__(self) -> str:
        return f"WorkerPool({self._busy} busy, {len(self._idle)} idle)"

    async def __aenter__(self) -> Self:
        self._checking = asyncio.create_task(self._end_idle(), name="idle workers")
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait((self._checking,))
        while self._idle:
            await self._idle.pop()[1].kill()

    async def acquire(self, tenant: str) -> Worker:
        """Waits for a turn, and returns a process of this tenant; raises `OSError` if none can be started."""
        if not self._turns.take(tenant):
            await self._turns.wait(tenant, None)
        self._busy += 1
        try:
            for position in range(len(self._idle) - 1, -1, -1):
                if self._idle[position][1].tenant == tenant:
                    return self._idle.pop(position)[1]
            if self._busy + len(self._idle) > self._settings.most_workers:
                await _kill(self._idle.pop(0)[1])
            return await Worker.start(tenant, self._settings, self._watchdog)
        except BaseException:
            self._give_back(tenant)
            raise

    async def release(self, worker: Worker) -> None:
        """Takes a process back when all that its call has started is ended.

        Kills it if it is worn or in the middle of a call.
        """
        try:
            if worker.usable and worker.calls < self._settings.calls:
                await worker.end_leftovers()  # before its next call, whose processes would be taken for these
                self._idle.append((time.monotonic(), worker))
            else:
                await worker.kill()
        finally:
            self._give_back(worker.tenant)

    def _give_back(self, tenant: str) -> None:
        self._busy -= 1
        self._turns.leave(tenant)

    async def _end_idle(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            while self._idle and self._idle[0][0] + self._settings.idle_seconds < time.monotonic():
                await _kill(self._idle.pop(0)[1])


async def _kill(worker: Worker) -> None:
    """Kills a process to its end; where that is cancelled, raises the cancellation afterwards."""
    killing = asyncio.ensure_future(worker.kill())
    try:
        await asyncio.shield(killing)
    except asyncio.CancelledError:
        await finish_despite_cancellation(asyncio.wait_for(killing, None))
        raise
