"""Waits for a child process to exit, without a thread, and names the signal that ended a process."""

import asyncio
import os
import signal
import subprocess
from typing import Any

from clusters.embedded.executors.process.watchdog_client import AWAITED_CHILDREN

POLL_SECONDS = 0.05


async def wait_for_exit(child: "subprocess.Popen[Any]") -> int:
    """Waits until a child process has exited, reaps it and returns its exit code (-N for signal N)."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        pidfd = os.pidfd_open(child.pid)
    except OSError:
        # No descriptor is free (EMFILE). The child runs all the same, so its exit is polled for.
        while child.poll() is None:  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(POLL_SECONDS)
    else:
        loop.add_reader(pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
    AWAITED_CHILDREN.discard(child.pid)
    return child.wait()


async def exits_within(child: "subprocess.Popen[Any]", seconds: float) -> bool:
    """Waits at most `seconds` for a child process to exit; returns whether it has exited."""
    try:
        async with asyncio.timeout(seconds):
            await wait_for_exit(child)
    except TimeoutError:
        return False
    return True


def signal_name(number: int) -> str:
    """Returns the name of a signal number: SIGKILL for 9, `SIGRTMIN+6` for a real-time signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        # `signal.Signals` (Python 3.11) has only the first and the last of the real-time signals.
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
