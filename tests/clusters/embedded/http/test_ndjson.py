"""Tests NDJSON responses: how many lines are buffered for a client that does not read."""

import asyncio
from collections.abc import AsyncIterator

from clusters.embedded.http.ndjson import BUFFERED_BYTES, NdjsonResponse


async def test_little_waits_for_a_slow_reader_however_long_its_lines_are() -> None:
    """A thousand events may be 64 MB, for each stream that nobody reads."""
    asked = 0

    async def values() -> AsyncIterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield "x" * 65_536

    lines = await NdjsonResponse(values(), closing=asyncio.Event()).begin()
    for _ in range(100):
        await asyncio.sleep(0)
    lines._collecting.cancel()

    assert asked * 65_536 <= BUFFERED_BYTES + 65_536
