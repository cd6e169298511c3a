"""Records, while tries run and at their end, how their logs have grown: the times of their lines."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from clusters.embedded.storage.log_times import GrowingLog

RECORD_SECONDS: Final = 0.25
"""The seconds between two looks at the logs of running tries: lines in between get one time."""


class LogRecorder:
    """Looks at the logs of running tries every `RECORD_SECONDS`, in a thread, within `async with`."""

    def __init__(self) -> None:
        self._growing: set[GrowingLog] = set()

    def __repr__(self) -> str:
        return f"LogRecorder({len(self._growing)} logs)"

    async def __aenter__(self) -> Self:
        self._recording = asyncio.create_task(self._record(), name="log times")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._recording.cancel()

    @contextmanager
    def watched(self, log: Path) -> Iterator[None]:
        """Records the growth of a try's log while the context is open, and at its end."""
        growing = GrowingLog(log)
        self._growing.add(growing)
        try:
            yield
        finally:
            self._growing.remove(growing)
            growing.record()

    async def _record(self) -> None:
        while True:
            await asyncio.sleep(RECORD_SECONDS)
            if self._growing:
                await asyncio.to_thread(_record_all, tuple(self._growing))


def _record_all(logs: Sequence[GrowingLog]) -> None:
    for log in logs:
        log.record()
