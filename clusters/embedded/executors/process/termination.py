"""How the processes of a try end: all of them, also those that have left its process group."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, Final

from clusters.embedded.executors.process.watchdog import children, environment, kill_group
from clusters.embedded.executors.process.watchdog_client import STARTED

GONE_SECONDS = 1.0
POLL_SECONDS = 0.05
NAMELESS_SECONDS = 0.5
"""A process that becomes another program, or ends and has not yet handed us its children, has no environment for a moment. Who has none
for so long has left it behind.
"""
NAMELESS: Final[dict[int, float]] = {}
"""Adopted children without an environment, and since when."""


async def exit_of(child: "subprocess.Popen[Any]") -> int:
    """The exit code, without a thread that waits for it."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        descriptor = os.pidfd_open(child.pid)
    except OSError:  # no descriptors are left: what has been started is waited for all the same
        while child.poll() is None:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(POLL_SECONDS)
    else:
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    STARTED.discard(child.pid)
    return child.wait()


async def exits_within(child: "subprocess.Popen[Any]", seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await exit_of(child)
    except TimeoutError:
        return False
    return True


def left(groups: Iterable[int], marks: Collection[bytes]) -> bool:
    """Kills what is there of the groups, and of adopted children that have `marks` in their environment. False: nothing is left.

    Who leaves a group and loses its parent becomes our child (`become_subreaper`). It is known by its environment, as long as it keeps it.
    """
    found = [_left_of(group) for group in groups]
    nameless: dict[int, float] = {}
    for pid in children(spared=STARTED):
        items = environment(pid)
        if not items:
            nameless[pid] = NAMELESS.get(pid, time.monotonic())
            found.append(time.monotonic() < nameless[pid] + NAMELESS_SECONDS)
        elif set(marks) <= set(items):
            found.append(True)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(pid), signal.SIGKILL)
    NAMELESS.clear()
    NAMELESS.update(nameless)
    return any(found)


def _left_of(group: int) -> bool:
    try:
        os.killpg(group, signal.SIGKILL)
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ProcessLookupError:
        return False
    except (ChildProcessError, PermissionError):  # another's children, for now
        return True
    return True


async def clear(groups: Iterable[int], marks: Collection[bytes]) -> None:
    """Kills all of it, and waits until it is gone: a killed process still ends in its own time. Not for ever: it may hang in the kernel."""
    until = time.monotonic() + GONE_SECONDS
    while left(groups, marks) and time.monotonic() < until:  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.002)


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Sees it through, however often the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


def name_of(number: int) -> str:
    """SIGKILL, SIGRTMIN+6."""
    try:
        return signal.Signals(number).name
    except ValueError:  # Python names the first and the last of the real-time signals only
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def terminate(groups: Iterable[int]) -> None:
    for group in groups:
        kill_group(group, signal.SIGTERM)
