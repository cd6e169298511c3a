"""Checks whether a disk has free space for a database."""

import os
from pathlib import Path
from typing import Final

LEAST_BYTES: Final = 65_536
"""With less room SQLite cannot make its shared memory, and says no more than `disk I/O error`."""


def is_disk_full(folder: Path) -> bool:
    """Whether the disk of `folder` has hardly any bytes left; False where that cannot be found out."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < LEAST_BYTES
