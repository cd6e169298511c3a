"""The limit of file descriptors (files, pipes, connections) that this process may have open at once."""

import resource
from typing import Final

WANTED: Final = 65_536
"""Not more: programs that a process starts and that close every descriptor they may have would take a minute
to start.
"""


def raise_descriptor_limit() -> int:
    """Raises the limit of this process to `WANTED`, or as far as the machine permits; returns the new one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY:
        return WANTED
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
