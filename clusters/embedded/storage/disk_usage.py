"""Measures the free space on a cluster's disk, and the space that each shard uses."""

import os
import stat
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

RESERVE_BYTES: Final = 1 << 30
RESERVE_SHARE: Final = 20
"""The divisor that gives a disk's reserve: a twentieth of the disk, at most `RESERVE_BYTES`."""
MEASURE_SECONDS: Final = 30.0
"""The seconds after which a measurement is given up, to be repeated."""


class FreeSpace(Struct, frozen=True, kw_only=True):
    """The free space on a disk, in bytes or in files, and the `reserve` below which it is short."""

    free: int
    reserve: int
    unit: str
    """The unit in which the space is shown to people: MiB or files."""

    @property
    def short(self) -> bool:
        return self.free < self.reserve


def free_space_on(folder: Path) -> FreeSpace:
    """Returns the free space on the disk that has `folder`: in bytes, or in files if only those are short.

    Raises `OSError`.
    """
    disk = os.statvfs(folder)
    size = disk.f_blocks * disk.f_frsize
    reserve = min(RESERVE_BYTES, size // RESERVE_SHARE)
    in_bytes = FreeSpace(free=disk.f_bavail * disk.f_frsize, reserve=reserve, unit="MiB")
    # Some file systems (btrfs) have no bound, and say 0.
    in_files = FreeSpace(free=disk.f_favail, reserve=disk.f_files // RESERVE_SHARE, unit="files")
    return in_files if in_files.short and not in_bytes.short else in_bytes


def usage_of_shards(root: Path, unit: str) -> dict[tuple[str, int], int]:
    """Measures the disk usage of each shard, by (run, shard), in the state folder `root`.

    The unit is bytes or files (`unit`). Counts the files in a shard's folders, and those that its processes
    hold open elsewhere on the disk or have unlinked. Blocks. Raises `OSError` and
    `subprocess.SubprocessError`.
    """
    usage = defaultdict[tuple[str, int], int](int)
    for path, amount in _measured(root, ("workspaces", "scratch"), unit):
        parts = path.split("/")
        # A shard's folder. du lists the folders above too, whose sums would count everything again.
        if len(parts) == 3 and parts[2].isdecimal():
            usage[parts[1], int(parts[2])] += amount
    # Unlinked files are counted in bytes alone: they take no name.
    if unit != "files":
        for shard, amount in _held_open(root):
            usage[shard] += amount
    return dict(usage)


def _measured(root: Path, kinds: tuple[str, ...], unit: str) -> Iterator[tuple[str, int]]:
    """Yields path and disk usage of folders: those of `root` named in `kinds`, and up to two levels below.

    Paths are relative to `root`. du(1) measures, in files or bytes (`unit`): it counts what lies at any depth
    of a folder, and this process's other threads run meanwhile.
    """
    kinds = tuple(kind for kind in kinds if (root / kind).is_dir())
    if not kinds:
        return
    count = ["--inodes"] if unit == "files" else ["--block-size=1"]
    command = ["du", "--null", "--max-depth=2", *count, "--", *kinds]
    # Its exit code is 1 where a folder vanished meanwhile.
    done = subprocess.run(
        command, cwd=root, capture_output=True, timeout=MEASURE_SECONDS, env={"PATH": os.defpath}, check=False
    )
    for line in done.stdout.split(b"\0"):
        amount, _, path = line.partition(b"\t")
        # The output ends with a NUL byte, so the last piece is empty.
        if amount.isdigit():
            yield os.fsdecode(path), int(amount)


def _held_open(root: Path) -> Iterator[tuple[tuple[str, int], int]]:
    """Yields (run, shard) and bytes of each file that a shard's process holds open and that du(1) misses.

    Such a file is deleted, or lies outside `root` on the same disk.
    """
    workspaces, device = os.fsencode(root / "workspaces"), root.stat().st_dev
    seen = set[int]()
    for process in Path("/proc").iterdir():
        shard = _shard_of(process, workspaces) if process.name.isdecimal() else None
        if shard is None:
            continue
        for descriptor in _listed(process / "fd"):
            try:
                found, target = os.stat(descriptor), os.readlink(descriptor)
            # Closed meanwhile.
            except OSError:
                continue
            # du has counted a file that has a name below the root.
            below = target.startswith(str(root)) and found.st_nlink
            if (
                stat.S_ISREG(found.st_mode)
                and found.st_dev == device
                and not below
                and found.st_ino not in seen
            ):
                seen.add(found.st_ino)
                yield shard, found.st_blocks * 512


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _shard_of(process: Path, workspaces: bytes) -> tuple[str, int] | None:
    """Returns the (run, shard) that a process belongs to, by the workspace in its environment, or None."""
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
    # The process has ended, or is another user's.
    except OSError:
        return None
    mark = b"WAYPOST_WORKSPACE=" + workspaces + b"/"
    for variable in environment:
        if variable.startswith(mark):
            run, _, shard = os.fsdecode(variable.removeprefix(mark)).partition("/")
            return (run, int(shard)) if shard.isdecimal() else None
    return None
