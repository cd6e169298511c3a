"""Measures how much of a disk is free, for the metric of processes that keep their state on it."""

import math
import os
from pathlib import Path

from prometheus_client import Gauge


def show_disk(free: Gauge, folder: Path) -> None:
    """Has the gauge `free` show, at each scrape, the free share of the disk of `folder`."""
    free.set_function(lambda: free_share(folder))


def free_share(folder: Path) -> float:
    """Returns the free share of a disk, of its bytes or of its files, whichever is less; NaN if unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return math.nan
    # Some file systems (btrfs) have no bound on files, and say 0.
    sizes = ((disk.f_bavail, disk.f_blocks), (disk.f_favail, disk.f_files))
    return min((free / size for free, size in sizes if size), default=math.nan)
