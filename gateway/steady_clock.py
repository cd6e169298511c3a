"""A clock of seconds since 1970 that does not change if the machine's wall clock is set.

It measures deadlines and pauses, and makes the ids of runs. When the process starts, the clock takes the time
of the wall clock; from then on it advances with the time since the machine's boot.
"""

import sys
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> float:
    """Returns the seconds since the machine's boot, time in sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


_offset = time.time() - uptime()


class MachineBoot(Struct, frozen=True, kw_only=True):
    """The latest boot of this machine: its id, and when it was by the steady clock, in seconds since 1970.

    Two processes read different times for the same boot if the wall clock was set between their starts.
    """

    id: str
    """The id of the boot; empty if the system gives none."""
    at: float


def machine_boot() -> MachineBoot:
    """Reads the id and the time of this machine's latest boot."""
    try:
        boot_id = BOOT_ID.read_text().strip()
    except OSError:
        boot_id = ""
    return MachineBoot(id=boot_id, at=_offset)


def steady_time() -> float:
    """Returns the time now, in seconds since 1970, unmoved by changes of the wall clock since the start."""
    return _offset + uptime()


def seconds_behind(newest: float) -> float:
    """Returns by how many seconds the steady clock is behind the stored time `newest`; 0 if it is not."""
    return max(0.0, newest - steady_time())


def set_forward(seconds: float) -> None:
    """Sets the steady clock forward by `seconds`.

    Called at the start of the process, so that no time that an earlier process stored is in the future.
    """
    global _offset
    _offset += seconds


def wall_clock_step() -> float:
    """Returns how many seconds the wall clock is ahead of the steady clock, because somebody set it."""
    return time.time() - steady_time()
