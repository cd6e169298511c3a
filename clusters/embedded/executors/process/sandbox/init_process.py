"""Finds the first process (init) of a sandbox, asks its command to end, and waits until all of it is gone.

bubblewrap is two processes: one outside, which is the child of the cluster, and the init of the sandbox's PID
namespace. When the init ends, the kernel kills every process of the namespace and waits for them. So nothing
is left of a sandbox once its init is gone. The init dies with the process outside (`--die-with-parent`).
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Self

import msgspec

from clusters.embedded.executors.process.watchdog import signal_group

BEGIN_SECONDS = 1.0
"""The longest time for which the command of a sandbox that is to end is waited for, to be asked to."""
POLL_SECONDS = 0.002
GONE_SECONDS = 5.0


class SandboxStatus:
    """What bubblewrap has written about one sandbox, in a file in memory; closed at the end of `with`."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("status")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def __repr__(self) -> str:
        return f"SandboxStatus(init={self.init}, command_ended={self.command_ended})"

    @property
    def init(self) -> int | None:
        """Returns the process id of the sandbox's init as seen from outside; None before it was started."""
        return next((found["child-pid"] for found in self._documents() if "child-pid" in found), None)

    @property
    def command_ended(self) -> bool:
        """Returns whether the sandbox was made and its command ran to its end."""
        return any("exit-code" in found for found in self._documents())

    def _documents(self) -> list[dict[str, int]]:
        found = []
        for line in os.pread(self.descriptor, 4096, 0).splitlines():
            # The last one may be half written.
            with contextlib.suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=dict[str, int]))
        return found


def exit_code_inside(code: int) -> int:
    """Returns the exit code of a command from that of its sandbox: -N for signal N, given as 128 + N.

    A shell gives the end of its last command in the same way, and then that command was killed.
    """
    return 128 - code if 128 < code <= 128 + signal.SIGRTMAX else code


async def ask_to_end(status: SandboxStatus, ended: Callable[[], bool]) -> None:
    """Sends SIGTERM to the command in a sandbox, and to its process group, once the command has begun.

    An earlier signal would be lost: the init of a namespace ignores it. Returns also when bubblewrap has
    `ended`.
    """
    until = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < until and not ended():
        init = status.init
        if init is not None and _has_child(init):
            signal_group(init, signal.SIGTERM)
            return
        await asyncio.sleep(POLL_SECONDS)


def is_gone(init: int) -> bool:
    """Reaps the init of an ended sandbox if that is gone; returns whether it is.

    The init is this process's child: this is a subreaper, and the process outside has ended.
    """
    try:
        return bool(os.waitpid(init, os.WNOHANG)[0])
    except ChildProcessError:
        return True


async def wait_until_gone(init: int) -> bool:
    """Waits until the init of an ended sandbox, and so all its processes, is gone; returns whether it is.

    Gives up after `GONE_SECONDS`: a process may hang in the kernel.
    """
    until = time.monotonic() + GONE_SECONDS
    while not (gone := is_gone(init)) and time.monotonic() < until:
        await _exit_of(init, until)
    return gone


async def _exit_of(child: int, until: float) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        descriptor = os.pidfd_open(child)
    except OSError:
        # No descriptor is free.
        await asyncio.sleep(POLL_SECONDS)
        return
    loop.add_reader(descriptor, ended.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _has_child(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return bool(file.read().strip())
    except OSError:
        return False
