"""The process groups that end with this process, however it ends: another one, the watchdog, has their list."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from loguru import logger

from clusters.embedded.executors.process import watchdog

PROGRAM: Final = (sys.executable, "-I", "-S", watchdog.__file__)
STARTED: Final[set[int]] = set()
"""Children of this process that somebody here waits for: nobody else may collect them."""


class WatchedGroups:
    """A watchdog that is killed itself is replaced at once, by one that gets the whole list.

    Entered, it first ends what a cluster before this one has left below the folder `workspaces`.
    """

    def __init__(self, workspaces: Path) -> None:
        self._workspaces = str(workspaces)
        self._groups: set[int] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        watchdog.become_subreaper()
        watchdog.end_all_below(self._workspaces)
        self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        if (process := self._release()) is not None:
            await self._loop.run_in_executor(None, process.wait)
            STARTED.discard(process.pid)

    def add(self, group: int) -> None:
        """Raises `OSError` where it cannot be watched: then it must not run."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def discard(self, group: int) -> None:
        """Of which nothing is left."""
        self._groups.discard(group)
        with contextlib.suppress(OSError):
            self._tell(f"-{group}\n")

    def _tell(self, lines: str) -> None:
        if self._watchdog is None:
            self._begin()
            return
        try:
            os.write(self._pipe, lines.encode())
        except OSError:
            self._replace()

    def _begin(self) -> None:
        process = subprocess.Popen(
            [*PROGRAM, "groups", self._workspaces], stdin=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        self._watchdog, self._pipe = process, process.stdin.fileno()
        STARTED.add(process.pid)
        self._ended = os.pidfd_open(process.pid)
        self._loop.add_reader(self._ended, self._replace)
        os.write(self._pipe, "".join(f"+{group}\n" for group in self._groups).encode())

    def _release(self) -> "subprocess.Popen[bytes] | None":
        """Ends the list of a watchdog that lives, and lets go of it."""
        process, self._watchdog = self._watchdog, None
        if process is not None and process.stdin is not None:
            self._loop.remove_reader(self._ended)
            os.close(self._ended)
            process.stdin.close()
        return process

    def _replace(self) -> None:
        logger.error("the watchdog has ended: another takes over")
        if (process := self._release()) is not None:
            process.kill()
            process.wait()
            STARTED.discard(process.pid)
        self._begin()
