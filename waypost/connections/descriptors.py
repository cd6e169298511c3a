"""Raises the limit on the file descriptors (files, pipes, connections) that this process may have open."""

import resource
from typing import Final

WANTED: Final = 65_536
"""The number of file descriptors that a process should be able to open.

Not more: programs that a process starts and that close every descriptor they may have would take a minute
to start.
"""


def raise_descriptor_limit() -> int:
    """Raises this process's descriptor limit to `WANTED`, or as far as permitted; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY:
        return WANTED
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
