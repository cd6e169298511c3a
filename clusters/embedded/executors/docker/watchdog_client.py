"""Keeps the watchdog program running that removes containers when the cluster's process is killed."""

import subprocess
import sys
from typing import Any, Final

from clusters.embedded.executors.docker import watchdog
from clusters.embedded.executors.process.watchdog_client import AWAITED_CHILDREN

AT_WORK: Final[list["subprocess.Popen[Any]"]] = []
"""The processes that work on after the end of their executors."""
PROGRAM: Final = (sys.executable, "-I", "-S", watchdog.__file__)


class ContainerWatchdog:
    """Starts and ends the process that removes the containers with `label` when the cluster has been killed.

    `socket` is that of the container engine.
    """

    def __init__(self, socket: str, label: str) -> None:
        self._arguments = (socket, label)
        self._process: subprocess.Popen[Any] | None = None

    def __repr__(self) -> str:
        return f"ContainerWatchdog({None if self._process is None else self._process.pid})"

    def ensure(self) -> None:
        """Starts the process if there is none, or if it has ended: a task may have killed it."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close(at_once=True)
        self._process = subprocess.Popen(
            [*PROGRAM, *self._arguments], stdin=subprocess.PIPE, start_new_session=True
        )
        AWAITED_CHILDREN.add(self._process.pid)

    def close(self, *, at_once: bool) -> None:
        """Ends the process: `at_once` if no container is left, else when it has removed what there is."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        if at_once:
            process.kill()
            process.wait()
            AWAITED_CHILDREN.discard(process.pid)
        else:
            AT_WORK.append(process)
