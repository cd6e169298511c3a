"""A moment, as whoever holds the clock hands it to a decision."""

from msgspec import Struct


class Instant(Struct, frozen=True, gc=False):
    """`monotonic` decides (seconds on this process's own clock); `wall` is for stored times, deadlines and people (seconds since 1970)."""

    monotonic: float
    wall: float
