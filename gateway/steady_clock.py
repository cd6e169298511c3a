"""A clock of seconds since 1970 that nobody can set while the process runs.

Deadlines, pauses and the names of runs count on it. It begins with the wall clock, and goes on with the time
since the machine's boot.
"""

import sys
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> float:
    """Returns the seconds since the machine's boot, on a clock that includes sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


_offset = time.time() - uptime()


class MachineBoot(Struct, frozen=True, kw_only=True):
    """A boot of this machine: its id, and its time by the steady clock, in seconds since 1970.

    Two readings of one boot differ in time by as much as the wall clock was set in between.
    """

    id: str
    """The id of the boot; empty if the system gives none."""
    at: float


def machine_boot() -> MachineBoot:
    """Returns the current boot of this machine."""
    try:
        boot_id = BOOT_ID.read_text().strip()
    except OSError:
        boot_id = ""
    return MachineBoot(id=boot_id, at=_offset)


def steady_time() -> float:
    """Returns the seconds since 1970, by the wall clock as it was at the start of this process."""
    return _offset + uptime()


def seconds_behind(newest: float) -> float:
    """Returns the seconds by which this clock is behind `newest`; 0 if it is not behind."""
    return max(0.0, newest - steady_time())


def set_forward(seconds: float) -> None:
    """Sets the clock forward, at the start of the process, so that all times given before are in the past."""
    global _offset
    _offset += seconds


def wall_clock_step() -> float:
    """Returns the seconds by which the wall clock was set since the start, or since `set_forward`."""
    return time.time() - steady_time()
