"""A moment of the controller's time. The clock is read outside and its value passed to each decision."""

from typing import Final

from msgspec import Struct

NEVER: Final = float("-inf")
"""A monotonic time before all others."""


class Instant(Struct, frozen=True, gc=False):
    """One moment on two clocks. Waits are measured on `monotonic`; stored times and deadlines on `wall`."""

    monotonic: float
    """Seconds on this process's own clock, which never jumps and means nothing to another process."""
    wall: float
    """Seconds since 1970."""
