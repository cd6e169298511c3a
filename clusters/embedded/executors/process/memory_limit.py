"""Runs commands under a memory limit, and recognizes commands that failed for lack of memory."""

import os
import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.storage.regular_files import open_regular

LIMITER: Final = 'ulimit -d "$1" && shift && exec /usr/bin/env -u PWD -u OLDPWD -u SHLVL -- "$@"'
"""The shell script that limits its own data segment and then executes the command.

`env` gives the command its environment, since the shell must not run with what a document has set. Secrets
alone are in the shell's own: everybody may read a command line. Set after the start (prlimit(2)) the limit
would come too late for a child that the command has started at once, and Popen's `preexec_fn` would fork the
whole cluster for each try.
"""
TAIL_BYTES: Final = 4096
SAYS_MEMORY: Final = re.compile(
    rb"memory ?error|out ?of ?memory|not enough memory|insufficient memory|memory exhausted|cannot allocate"
    rb"|bad_alloc|alloc\w*( of \d+ bytes)? failed|failed to allocate|enomem",
    re.IGNORECASE,
)
"""Matches the words with which programs report that they ran out of memory."""


def limited_command(spec: ProcessSpec) -> list[bytes | str]:
    """Returns a command line that sets the memory limit and environment of `spec`, then runs its command.

    The limit is RLIMIT_DATA. Each child of the command gets the same limit, not a share of it. Raises
    `ValueError` for a program with `=` in its name, which would be taken for a variable, and for a variable
    that no environment can hold.
    """
    if "=" in spec.command[0]:
        raise ValueError("a program with memoryMiB cannot have = in its name")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    # A limit above the cluster's own cannot be set, and would allow no more.
    bound = spec.memory_bytes if hard == resource.RLIM_INFINITY else min(spec.memory_bytes, hard)
    shown = {name: value for name, value in spec.environment.items() if name not in spec.secret_names}
    return [
        "/bin/sh",
        "-c",
        LIMITER,
        "sh",
        str(bound >> 10),
        *environment_block(shown),
        *spec.command,
    ]


def environment_block(environment: Mapping[str, str]) -> list[bytes]:
    """Returns an environment as a list of `NAME=value`.

    Raises `ValueError` for a variable with a NUL character, or whose name is empty or has `=` in it.
    """
    block = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    if any("=" in name or not name for name in environment) or any(b"\0" in item for item in block):
        raise ValueError("env holds a NUL character, or a name that no variable can have")
    return block


def log_size(log: Path) -> int:
    """Returns the size of a log file in bytes; 0 where there is no file."""
    try:
        return log.lstat().st_size
    except OSError:
        return 0


def memory_reason(spec: ProcessSpec, reason: str, log_begin: int) -> str:
    """Extends the failure reason of a memory-limited task by the limit, and by whether memory ran out.

    A program that gets no more memory ends as it likes, so `reason` alone (exit code 1) does not show the
    cause. Its last output, after byte `log_begin` of its log, usually does: that is searched for it.
    """
    bound = f"{spec.memory_bytes >> 20} MiB (resources.memoryMiB)"
    if SAYS_MEMORY.search(log_tail(spec.log, log_begin)):
        return f"out of memory: {reason}, its memory is limited to {bound}"
    return f"{reason}; its memory was limited to {bound}"


def last_line(log: Path, begin: int) -> str:
    """Returns the last line of a log after byte `begin`; empty if there is none."""
    lines = log_tail(log, begin).decode(errors="replace").splitlines()
    return lines[-1] if lines else ""


def log_tail(log: Path, begin: int) -> bytes:
    """Returns the end of what was written to a log after byte `begin`; empty where there is no log."""
    try:
        with open(open_regular(log, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(begin if begin <= size else 0, size - TAIL_BYTES))
            return file.read(TAIL_BYTES)
    except OSError:
        return b""
