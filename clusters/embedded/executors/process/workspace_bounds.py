"""Ends running tries whose workspace or shared memory grows beyond what their cluster permits."""

import asyncio
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from waypost.cancellation import cancel_and_wait

CHECK_SECONDS: Final = 2.0
SHARE: Final = 10
"""The pause of a workspace, in times of what its last measurement took: measuring keeps the disk busy."""
MEASURE_SECONDS: Final = 60.0
"""The seconds after which a measurement is given up, to be repeated."""
MEASURING: Final = 4
"""The most workspaces that are measured at once."""


class WatchedTry:
    """A running try: how it is ended, and the reason if it was, as it had grown too large.

    `fault` says, in a thread, what is too large of it besides its workspace; empty if nothing is.
    """

    def __init__(self, kill: Callable[[], None], fault: Callable[[], str]) -> None:
        self.kill, self.fault, self.reason = kill, fault, ""

    def __repr__(self) -> str:
        return f"WatchedTry(reason={self.reason!r})"


class WatchedWorkspace:
    """A workspace with its running tries, and the time from which on it is measured again."""

    def __init__(self) -> None:
        self.tries: list[WatchedTry] = []
        self.due = 0.0
        """A time of the monotonic clock; infinite while the workspace is being measured."""


class WorkspaceBounds:
    """Measures running tries and their workspaces, within `async with`; ends those that are too large.

    `bound_bytes` is the most bytes of one workspace; 0 for any number. What takes long to measure delays no
    other workspace.
    """

    def __init__(self, bound_bytes: int) -> None:
        self._bound_bytes = bound_bytes
        self._watched: dict[Path, WatchedWorkspace] = {}
        self._measuring: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"WorkspaceBounds({self._bound_bytes >> 20} MiB, {len(self._watched)} workspaces)"

    async def __aenter__(self) -> Self:
        # Not the threads of the event loop, which serve everything else.
        self._threads = ThreadPoolExecutor(MEASURING, thread_name_prefix="du")
        # Memory grows faster than a disk can be measured.
        self._own_thread = ThreadPoolExecutor(1, thread_name_prefix="shared memory")
        self._checking = asyncio.create_task(self._check(), name="workspace bounds")
        self._looking = asyncio.create_task(self._look(), name="bounds of tries")
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait((self._checking, self._looking, *self._measuring))
        for threads in (self._threads, self._own_thread):
            threads.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def watched(
        self, workspace: Path, kill: Callable[[], None], fault: Callable[[], str] = str
    ) -> Iterator[WatchedTry]:
        """Watches a running try and its workspace, while the context is open; `kill` ends the try."""
        found = WatchedTry(kill, fault)
        tries = self._watched.setdefault(workspace, WatchedWorkspace()).tries
        tries.append(found)
        try:
            yield found
        finally:
            tries.remove(found)
            if not tries:
                del self._watched[workspace]

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for found in [one for workspace in self._watched.values() for one in workspace.tries]:
                if not found.reason and (why := await loop.run_in_executor(self._own_thread, found.fault)):
                    found.reason = why
                    found.kill()

    async def _check(self) -> None:
        while self._bound_bytes:
            await asyncio.sleep(CHECK_SECONDS)
            now = time.monotonic()
            for path, workspace in self._watched.items():
                if workspace.due <= now:
                    workspace.due = math.inf
                    task = asyncio.create_task(self._measure(path, workspace), name=f"measure {path}")
                    self._measuring.add(task)
                    task.add_done_callback(self._measuring.discard)

    async def _measure(self, path: Path, workspace: WatchedWorkspace) -> None:
        loop = asyncio.get_running_loop()
        size, seconds = await loop.run_in_executor(self._threads, _timed_size, path)
        workspace.due = loop.time() + SHARE * seconds
        if size > self._bound_bytes:
            self._end_tries(workspace, size)

    def _end_tries(self, workspace: WatchedWorkspace, size: int) -> None:
        # Those that have ended meanwhile are gone from the list.
        for found in workspace.tries:
            found.reason = (
                f"its workspace takes {size >> 20} MiB, where {self._bound_bytes >> 20} MiB are permitted"
                " (executor.process.workspace_mib)"
            )
            found.kill()


def _timed_size(folder: Path) -> tuple[int, float]:
    """Measures a folder; returns its size in bytes, and the seconds that this took. Blocks."""
    began = time.monotonic()
    return size_of(folder), time.monotonic() - began


def size_of(folder: Path) -> int:
    """Measures what `folder` takes on the disk, in bytes, by du(1); 0 where it cannot be measured. Blocks."""
    command = ["du", "--summarize", "--block-size=1", "--", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=MEASURE_SECONDS, env={"PATH": os.defpath}, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    amount = done.stdout.partition(b"\t")[0]
    return int(amount) if amount.isdigit() else 0
