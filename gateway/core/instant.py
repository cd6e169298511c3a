"""One moment in time on two clocks: monotonic and wall. Read outside, and passed to what decides."""

from typing import Final

from msgspec import Struct

NEVER: Final = float("-inf")
"""The monotonic time before all others, for events that have not happened yet."""


class Instant(Struct, frozen=True, gc=False):
    """One moment on two clocks: waits are measured on `monotonic`; stored times and deadlines on `wall`."""

    monotonic: float
    """Seconds on this process's monotonic clock, which never jumps and means nothing to another process."""
    wall: float
    """Wall-clock seconds since 1970."""
