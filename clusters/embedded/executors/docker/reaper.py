"""Removes the containers of a cluster that no try needs any more."""

import asyncio
import time
from typing import Final

from loguru import logger

from clusters.embedded.executors.docker.engine import Engine, EngineError
from clusters.embedded.executors.docker.watchdog_client import ContainerWatchdog

SWEEP_SECONDS: Final = 10.0
GONE_SECONDS: Final = 20.0
"""The seconds for which the end of a try waits until its container is gone; then the sweep goes on."""
RETRY_SECONDS: Final = 0.3


class Reaper:
    """Removes containers: those of a try at its end, and by a sweep all with `label` that are not in `live`.

    A sweep finds those of an earlier cluster, and those that were left since the engine did not answer.
    """

    def __init__(self, engine: Engine, label: str, watchdog: ContainerWatchdog) -> None:
        self._engine, self._label, self._watchdog = engine, label, watchdog
        self.live: set[str] = set()
        """The names of the containers of running tries."""

    def __repr__(self) -> str:
        return f"Reaper({self._label}: {len(self.live)} live)"

    async def remove(self, name: str) -> bool:
        """Removes the container of a try; returns whether it is gone.

        Repeats that for `GONE_SECONDS` at most: an engine may be away, or busy with that very container.
        """
        until = time.monotonic() + GONE_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                    await self._engine.remove(name)
            except (EngineError, TimeoutError) as error:
                if time.monotonic() + RETRY_SECONDS >= until:
                    logger.error("the container {} cannot be removed yet: {}", name, error)
                    return False
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return True

    async def sweep(self) -> bool:
        """Removes every container of this cluster that no running try has; returns whether none is left."""
        left = None
        try:
            for name in await self._engine.labelled(self._label):
                try:
                    if name not in self.live:
                        await self._engine.remove(name)
                except EngineError as error:  # it may be being removed already
                    left = error
        except EngineError as error:
            left = error
        if left is not None:
            logger.warning("containers that are left cannot be removed now: {}", left)
        return left is None

    async def run(self) -> None:
        """Sweeps again and again, and replaces a watchdog that has ended."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._watchdog.ensure()
            await self.sweep()
