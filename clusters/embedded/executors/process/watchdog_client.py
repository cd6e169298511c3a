"""Starts the watchdog process, restarts it when it ends, and sends it the process groups to kill.

The watchdog (`watchdog.py`) kills these groups when the cluster's process dies.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from loguru import logger

from clusters.embedded.executors.process import watchdog

PROGRAM: Final = (sys.executable, "-I", "-S", watchdog.__file__)
"""The beginning of a watchdog's command line.

-I and -S: nothing in the environment or in site-packages changes what it imports, and it starts sooner.
"""
AWAITED_CHILDREN: Final[set[int]] = set()
"""The pids of children that code of this process waits for.

Anything else that reaps them loses their exit codes.
"""


class WatchdogClient:
    """Keeps a watchdog process running, with the list of process groups to kill if this process dies.

    This class kills nothing itself, except once: when entered it kills what an earlier cluster has left below
    the folder `workspaces`. A watchdog that has ended is replaced at once by one that gets the whole list.
    """

    def __init__(self, workspaces: Path) -> None:
        self._workspaces = str(workspaces)
        self._groups: set[int] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        watchdog.become_subreaper()
        watchdog.kill_all_below(self._workspaces)
        self._start_watchdog()
        return self

    async def __aexit__(self, *_: object) -> None:
        if (process := self._detach()) is not None:
            # A task may have stopped it: it has to end what is left, and we wait for that.
            process.send_signal(signal.SIGCONT)
            await self._loop.run_in_executor(None, process.wait)
            AWAITED_CHILDREN.discard(process.pid)

    def __repr__(self) -> str:
        pid = None if self._watchdog is None else self._watchdog.pid
        return f"WatchdogClient(watchdog={pid}, groups={sorted(self._groups)})"

    def watch(self, group: int) -> None:
        """Adds a process group to those that the watchdog kills if the cluster's process dies.

        Raises `OSError` where there is no watchdog: then the group must not run.
        """
        self._groups.add(group)
        self._send(f"+{group}\n")

    def unwatch(self, group: int) -> None:
        """Removes a process group, of which no process is left, from the watchdog's list."""
        self._groups.discard(group)
        with contextlib.suppress(OSError):
            self._send(f"-{group}\n")

    def _send(self, lines: str) -> None:
        if self._watchdog is None:
            # The last one could not be replaced. The new one gets the whole list, this change included.
            self._start_watchdog()
            return
        try:
            os.write(self._pipe, lines.encode())
        except OSError:
            self._replace_watchdog()

    def _start_watchdog(self) -> None:
        process = subprocess.Popen(
            [*PROGRAM, "groups", self._workspaces], stdin=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        self._watchdog, self._pipe = process, process.stdin.fileno()
        AWAITED_CHILDREN.add(process.pid)
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._replace_watchdog)
        os.write(self._pipe, "".join(f"+{group}\n" for group in self._groups).encode())
        # From now on: one that a task has stopped reads nothing, and a full pipe must not stop us, too.
        os.set_blocking(self._pipe, False)

    def _detach(self) -> "subprocess.Popen[bytes] | None":
        """Closes the pipe to the watchdog process, which ends the watchdog.

        Returns the process, or None if none was running.
        """
        process, self._watchdog = self._watchdog, None
        if process is not None and process.stdin is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            process.stdin.close()
        return process

    def _replace_watchdog(self) -> None:
        logger.error("the watchdog has ended or does not read: another takes over")
        if (process := self._detach()) is not None:
            # Its pipe is closed now, which makes a watchdog kill its groups: its successor has them, so it
            # must not.
            process.kill()
            process.wait()
            AWAITED_CHILDREN.discard(process.pid)
        self._start_watchdog()
