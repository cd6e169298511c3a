"""Checks whether the disk of a SQLite database is nearly full."""

import os
from pathlib import Path
from typing import Final

LEAST_BYTES: Final = 65_536
"""The free bytes below which a disk counts as full.

With less SQLite cannot create its shared memory, and says no more than `disk I/O error`.
"""


def is_disk_full(folder: Path) -> bool:
    """Returns whether the disk of `folder` has less than `LEAST_BYTES` free; False if that is unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < LEAST_BYTES
