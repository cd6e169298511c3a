"""`Instant`: one moment in time as two numbers, monotonic seconds and wall-clock seconds since 1970."""

from typing import Final

from msgspec import Struct

NEVER: Final = float("-inf")
"""The monotonic time before all others: stands for an event that has not happened yet."""


class Instant(Struct, frozen=True, gc=False):
    """One moment on two clocks: `monotonic` for measuring waits, `wall` for stored times and deadlines."""

    monotonic: float
    """Seconds on this process's monotonic clock, which never jumps and means nothing to another process."""
    wall: float
    """Wall-clock seconds since 1970."""
