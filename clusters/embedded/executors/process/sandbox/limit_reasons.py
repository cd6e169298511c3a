"""Recognizes commands that failed at a limit of their sandbox, by their end or by what they wrote last."""

import re
import signal
from typing import Final

from clusters.embedded.executors.process.memory_limit import SAYS_MEMORY
from clusters.embedded.executors.process.sandbox.start_script import Limits

SAYS_PROCESSES: Final = re.compile(
    rb"can(?:'|no)t (?:fork|start new thread)|unable to (?:fork|create (?:native )?thread)|fork\S* failed"
    rb"|fork: .*resource temporarily unavailable|BlockingIOError: \[Errno 11\]",
    re.IGNORECASE,
)
SAYS_ARGUMENTS: Final = re.compile(rb"argument list too long", re.IGNORECASE)
SAYS_SPACE: Final = re.compile(rb"no space left on device", re.IGNORECASE)
SAYS_FILE: Final = re.compile(rb"file too large|file size limit exceeded", re.IGNORECASE)

CANNOT_RUN: Final = 126
"""The exit code of a shell that cannot run the command it was to become."""


def limit_reached(exit_code: int, limits: Limits, written: bytes) -> str:
    """Returns a sentence that names the limit at which a command failed; empty if none is to be seen.

    `exit_code` is -N for signal N; `written` is what the command wrote last.
    """
    if limits.cpu_seconds and exit_code == -signal.SIGXCPU:
        return f"a process may use a processor for {limits.cpu_seconds} s (executor.process.cpu_seconds)"
    if limits.file_bytes and (exit_code == -signal.SIGXFSZ or SAYS_FILE.search(written)):
        return f"a file may have {limits.file_bytes >> 20} MiB (executor.process.workspace_mib)"
    if exit_code == CANNOT_RUN and SAYS_ARGUMENTS.search(written):
        return "its command and env are longer than this machine permits"
    if limits.temporary_bytes and SAYS_SPACE.search(written):
        mebibytes = limits.temporary_bytes >> 20
        return f"the disk is full, or /tmp, which may have {mebibytes} MiB (executor.process.tmp_mib)"
    if limits.processes and SAYS_PROCESSES.search(written):
        return f"it may have {limits.processes} processes (executor.process.processes)"
    if limits.memory_bytes and SAYS_MEMORY.search(written):
        return f"a process may have {limits.memory_bytes >> 20} MiB of memory (executor.process.memory_mib)"
    return ""
