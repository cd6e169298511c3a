"""Measures the longest time for which an awaited call keeps the event loop from other work.

On a busy machine most of that time the thread only waits for a processor, whatever the call does. Linux says
how long (`/proc/thread-self/schedstat`), so that this wait is told apart. What is left is the thread's own
work, and its waits for the interpreter's lock and for disks.
"""

import asyncio
import time
from collections.abc import Awaitable
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

TICK_SECONDS = 0.001
SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Nanoseconds on a processor, nanoseconds waiting for one, and turns, of the thread that reads it."""


def processor_wait(schedstat: Path = SCHEDSTAT) -> float:
    """Returns the seconds that a thread has waited for a processor so far; 0 where Linux does not tell."""
    return int(schedstat.read_text().split()[1]) / 1e9 if schedstat.exists() else 0.0


class Stall(Struct, frozen=True, kw_only=True):
    """The longest stall of an event loop, in seconds: by the clock, and without waits for a processor.

    `processor`: the longest time that the loop's thread was busy without a pause, in processor time. The
    three maxima may be of different stalls.
    """

    clock: float
    own: float
    processor: float

    def __str__(self) -> str:
        return (
            f"longest stall {self.clock * 1e3:.1f} ms by the clock, {self.own * 1e3:.1f} ms without waits for"
            f" a processor, of processor time {self.processor * 1e3:.1f} ms"
        )


class _Moment(Struct, frozen=True):
    clock: float
    waited: float
    processor: float


async def longest_stall(call: Awaitable[object]) -> Stall:
    """Awaits `call` beside a task that wakes each millisecond; returns the longest delay of that task."""
    moments, going = [_now()], True

    async def tick() -> None:
        while going:
            await asyncio.sleep(TICK_SECONDS)
            moments.append(_now())

    ticking = asyncio.create_task(tick())
    await call
    going = False
    await ticking
    gaps = [
        (after.clock - before.clock, after.waited - before.waited, after.processor - before.processor)
        for before, after in pairwise(moments)
    ]
    return Stall(
        clock=max(clock for clock, _, _ in gaps) - TICK_SECONDS,
        own=max(0.0, max(clock - waited for clock, waited, _ in gaps) - TICK_SECONDS),
        processor=max(processor for _, _, processor in gaps),
    )


def _now() -> _Moment:
    return _Moment(time.perf_counter(), processor_wait(), time.thread_time())
