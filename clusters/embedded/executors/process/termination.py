"""Ends the processes of a task's execution: SIGTERM, a grace period, then SIGKILL until none is left."""

import asyncio
import contextlib
import subprocess
from collections.abc import Collection, Coroutine
from signal import SIGTERM
from typing import Any

from clusters.embedded.executors.process.child_exit import exits_within, wait_for_exit
from clusters.embedded.executors.process.lease_guard import LeaseGuard
from clusters.embedded.executors.process.leftovers import clear_leftovers
from clusters.embedded.executors.process.sandbox.init_process import (
    SandboxStatus,
    ask_to_end,
    wait_until_gone,
)
from clusters.embedded.executors.process.watchdog import signal_group

GUARD_SECONDS = 2.0
"""The seconds that a lease guard gets to kill its command, before the guard itself is killed."""


async def terminate(
    child: "subprocess.Popen[Any]",
    guard: LeaseGuard | None,
    identity: Collection[bytes],
    status: SandboxStatus | None,
    *,
    grace_seconds: float,
) -> None:
    """Ends the processes of one execution of a task: SIGTERM, `grace_seconds`, then SIGKILL.

    `child` is the process of its command, or, where `guard` is given, the lease guard process that runs the
    command. Descendants outside its process group are found by `identity`: variables (`NAME=value` each) in
    the environment of every process of this execution. `status` is that of its sandbox, None for a command
    without one. Returns when no process is left, or one has survived
    SIGKILL for some time.
    """
    if child.returncode is None:
        await _request_end(child, guard, status)
        if not await exits_within(child, grace_seconds) and guard is not None:
            # The command has ignored SIGTERM. Its guard kills it, with all its descendants, and then exits.
            guard.close_input()
            await exits_within(child, GUARD_SECONDS)
    if child.returncode is None:
        signal_group(child.pid)
        await wait_for_exit(child)
    # The kernel ends all processes of a sandbox with its first one.
    init = status.init if status is not None and guard is None else None
    if init is not None and await wait_until_gone(init):
        return
    groups = [child.pid]
    if guard is not None:
        # Its last reports may not have been read yet: also the one that it has started the command.
        guard.read_reports()
        groups += [guard.group] if guard.group is not None else []
    await clear_leftovers(groups, identity)


def kill_try(child: "subprocess.Popen[Any]", guard: LeaseGuard | None) -> None:
    """Kills the command of a try, without waiting for its end; in a sandbox all processes end with it."""
    if guard is None:
        signal_group(child.pid)
    elif guard.group is not None:
        signal_group(guard.group)


async def _request_end(
    child: "subprocess.Popen[Any]", guard: LeaseGuard | None, status: SandboxStatus | None
) -> None:
    if guard is not None and guard.group is None:
        # The guard has not started the command yet. It ignores SIGTERM, and ends when its input closes.
        guard.close_input()
    elif status is not None:
        await ask_to_end(status, lambda: child.poll() is not None)
    else:
        signal_group(child.pid if guard is None or guard.group is None else guard.group, SIGTERM)


async def finish_despite_cancellation(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end although the calling asyncio task is cancelled, even repeatedly.

    Drops these cancellations, and raises what the coroutine raises. The gateway repeats its orders to end an
    attempt (tombstones), and each may cancel the caller again.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
