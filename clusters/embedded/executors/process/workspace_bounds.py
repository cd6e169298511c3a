"""Bounds the size of workspaces: ends the tries of a shard whose files take more than its cluster permits."""

import asyncio
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

CHECK_SECONDS: Final = 2.0
SHARE: Final = 10
"""Between two checks passes at least so many times what the last one took: measuring keeps the disk busy."""
MEASURE_SECONDS: Final = 60.0


class WatchedTry:
    """A running try: how it is ended, and the reason if it was, as its workspace had grown too large."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.kill, self.reason = kill, ""

    def __repr__(self) -> str:
        return f"WatchedTry(reason={self.reason!r})"


class WorkspaceBounds:
    """Measures the workspaces of running tries, within `async with`; ends tries whose workspace is too large.

    `bound_bytes` is the most bytes of one workspace; 0 for any number.
    """

    def __init__(self, bound_bytes: int) -> None:
        self._bound_bytes = bound_bytes
        self._watched: defaultdict[Path, list[WatchedTry]] = defaultdict(list)

    def __repr__(self) -> str:
        return f"WorkspaceBounds({self._bound_bytes >> 20} MiB, {len(self._watched)} workspaces)"

    async def __aenter__(self) -> Self:
        self._checking = asyncio.create_task(self._check(), name="workspace bounds")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._checking.cancel()

    @contextmanager
    def watched(self, workspace: Path, kill: Callable[[], None]) -> Iterator[WatchedTry]:
        """Watches the workspace of a running try, which `kill` ends, while the context is open."""
        found = WatchedTry(kill)
        self._watched[workspace].append(found)
        try:
            yield found
        finally:
            self._watched[workspace].remove(found)
            if not self._watched[workspace]:
                del self._watched[workspace]

    async def _check(self) -> None:
        pause = CHECK_SECONDS
        while self._bound_bytes:
            await asyncio.sleep(pause)
            began = time.monotonic()
            for workspace in list(self._watched):
                size = await asyncio.to_thread(size_of, workspace)
                if size > self._bound_bytes:
                    self._end_tries(workspace, size)
            pause = max(CHECK_SECONDS, SHARE * (time.monotonic() - began))

    def _end_tries(self, workspace: Path, size: int) -> None:
        # Those that have ended meanwhile are gone from the list.
        for found in self._watched.get(workspace, ()):
            found.reason = (
                f"its workspace takes {size >> 20} MiB, where {self._bound_bytes >> 20} MiB are permitted"
                " (executor.process.workspace_mib)"
            )
            found.kill()


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
