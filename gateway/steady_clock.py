"""The time since 1970 on a clock that nobody can set while the process runs.

Deadlines, pauses and the names of runs count on it. It begins with the wall clock, and goes on with the
monotonic one.
"""

import time

_offset = time.time() - time.monotonic()


def steady_time() -> float:
    """Seconds since 1970, by the wall clock as it was at the start of this process."""
    return _offset + time.monotonic()


def seconds_behind(newest: float) -> float:
    """How far this clock is behind `newest`, a time that was certainly before now; 0: it is not."""
    return max(0.0, newest - steady_time())


def set_forward(seconds: float) -> None:
    """Sets the clock forward, at the start of the process: times that were given before stay in the past."""
    global _offset
    _offset += seconds


def wall_clock_step() -> float:
    """By how many seconds the wall clock has been set since the start, or since `set_forward`."""
    return time.time() - steady_time()
