"""What tries have written, read back in pieces."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from clusters.errors import ClusterError
from clusters.spec import LogChunk

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.2


async def read_log(path: Path, *, offset: int, going_on: Callable[[], bool]) -> AsyncIterator[LogChunk]:
    """The file from byte `offset`; while `going_on`, also what is written meanwhile. Raises `ClusterError` where there is none."""
    loop = asyncio.get_running_loop()
    while True:
        last = not going_on()
        found = await loop.run_in_executor(None, _read, path, offset)
        if found is None and last:
            raise ClusterError("NotFound", "no log of that task is here", retryable=False)
        if found:
            offset += len(found)
            yield LogChunk(text=found.decode(errors="replace"), offset=offset)
        elif last:
            return
        else:
            await asyncio.sleep(POLL_SECONDS)


def _read(path: Path, offset: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return None
