"""Limits the size of tasks' log files while they are written, so that no log fills the disk."""

import asyncio
import contextlib
from pathlib import Path
from typing import Self

from clusters.embedded.storage.task_logs import LOG_BYTES, shorten

CHECK_SECONDS = 1.0


class LogLimits:
    """Checks log files every `CHECK_SECONDS` and shortens those over `LOG_BYTES`, within `async with`."""

    def __init__(self) -> None:
        self._logs: set[Path] = set()

    async def __aenter__(self) -> Self:
        self._checking = asyncio.create_task(self._check(), name="log limits")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._checking.cancel()

    def add(self, log: Path) -> None:
        """Begins to check a log file."""
        self._logs.add(log)

    def discard(self, log: Path) -> None:
        """Ends the checks of a log file."""
        self._logs.discard(log)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for log in list(self._logs):
                await shorten_log(log)


def is_too_long(log: Path) -> bool:
    """Returns whether a task's log file is larger than `LOG_BYTES`; False where the file does not exist."""
    with contextlib.suppress(OSError):
        return log.lstat().st_size > LOG_BYTES
    return False


async def shorten_log(log: Path) -> None:
    """Shortens a task's log file to less than `LOG_BYTES`, in a thread.

    Errors are ignored: a task may have removed its log, or put a pipe in its place.
    """
    with contextlib.suppress(OSError):
        await asyncio.to_thread(shorten, log)
