"""Finds out how much memory a cluster has: that of its machine, or less where its cgroup is bounded."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")


def machine_memory_mib() -> int:
    """Returns the MiB of memory of this machine, or of the cgroup of this process if that has less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min([machine, *cgroup_bounds(ROOT, OWN)]) >> 20)


def cgroup_bounds(root: Path, own: Path) -> Iterator[int]:
    """Yields the bounds on the memory of this process's cgroup and those above it, in bytes.

    `root` is where cgroups are mounted, `own` lists those of this process. Bounds that cannot be read are
    left out. In a container the mounted root is usually its own cgroup.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        place = folder / path.lstrip("/")
        for cgroup in (place, *place.parents):
            if cgroup.is_relative_to(folder) and (bound := _read_bound(cgroup / name)) is not None:
                yield bound


def _read_bound(path: Path) -> int | None:
    """Returns the number in a file of a cgroup; None where there is none, or it says `max`."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) > 0 else None
