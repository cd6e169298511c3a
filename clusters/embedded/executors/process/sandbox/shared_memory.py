"""Measures the memory that processes of a sandbox share, which no limit of a single process counts (Linux).

That is what they have mapped together (`MAP_SHARED`, System V) and their files in memory (memfd_create(2)).
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Final

MAPPED: Final = re.compile(rb"^RssShmem:\s+(\d+) kB", re.MULTILINE)
MAPPED_SHARE: Final = re.compile(rb"^Pss_Shmem:\s+(\d+) kB", re.MULTILINE)
IN_MEMORY: Final = "/memfd:"
PROCESSES_MAXIMUM: Final = 5_000


def shared_memory_fault(init: int | None, permitted_bytes: int, setting: str) -> str:
    """Returns a sentence that says that a sandbox shares too much memory; empty if it does not. Blocks.

    `init` is the sandbox's first process, None before it was started; `setting` names what permits so much.
    """
    if init is None or not permitted_bytes:
        return ""
    processes = list(_processes_below(init))
    size = sum(_kibibytes(MAPPED, f"/proc/{pid}/status") for pid in processes) << 10
    if size > permitted_bytes:
        # Each process counts all that it has mapped of what many share: here each counts its share.
        size = sum(_kibibytes(MAPPED_SHARE, f"/proc/{pid}/smaps_rollup") for pid in processes) << 10
    # What is written to such a file need not be mapped; what is, was counted.
    size = max(size, _files_in_memory(processes))
    if size <= permitted_bytes:
        return ""
    return (
        f"its processes share {size >> 20} MiB of memory,"
        f" where {permitted_bytes >> 20} MiB are permitted ({setting})"
    )


def _processes_below(first: int) -> Iterator[int]:
    """Yields a process and its living descendants, `PROCESSES_MAXIMUM` at most."""
    left, found = [first], 0
    while left and found < PROCESSES_MAXIMUM:
        pid, found = left.pop(), found + 1
        yield pid
        # It may have ended meanwhile.
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as file:
                    left += map(int, file.read().split())


def _kibibytes(field: re.Pattern[bytes], path: str) -> int:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if (found := field.search(file.read())) is not None:
            return int(found[1])
    return 0


def _files_in_memory(processes: Iterable[int]) -> int:
    """Returns the bytes of all files in memory that processes have open, each counted once."""
    sizes: dict[int, int] = {}
    for pid in processes:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{name}"
                with contextlib.suppress(OSError):
                    if os.readlink(path).startswith(IN_MEMORY):
                        found = os.stat(path)
                        sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())
