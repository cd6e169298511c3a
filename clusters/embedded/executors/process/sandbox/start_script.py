"""Builds the shell script that runs first in a sandbox: it sets limits and variables, then is the command."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

SHELL: Final = "/bin/sh"
FIRST_TO_GO: Final = "{ echo 1000 > /proc/self/oom_score_adj; } 2> /dev/null || :"
"""Where memory runs out, the kernel kills the processes of tasks, not the cluster or what else runs there."""
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Matches the names of variables that a shell can export."""
SHELLS_OWN: Final = frozenset(
    ["UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "PS4", "ENV", "IFS", "BASH_ENV"]
)
"""Variables that a shell will not set, or that act on the shell itself."""


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of each process of a task (setrlimit(2)); 0 stands for none."""

    processes: int = 0
    """The most processes and threads of the task at once."""
    memory_bytes: int = 0
    file_bytes: int = 0
    cpu_seconds: int = 0
    temporary_bytes: int = 0
    """The most bytes of `/tmp`, and of `/dev/shm`, which the sandbox sets itself."""


def start_script(
    command: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    *,
    directory: Path = Path("/"),
    make: bool = False,
) -> bytes:
    """Returns the shell script that becomes `command`, in `directory` and under `limits`.

    It makes the directory if `make`.

    A shell reads it from its standard input: no list of processes shows the environment, and nothing of the
    environment acts on a program before the limits are set. A limit that cannot be set ends the script.
    Raises `ValueError` for what no process can be given.
    """
    if any("\0" in word for word in (*command, *environment.keys(), *environment.values())):
        raise ValueError("the command or its env holds a NUL character")
    if any("=" in name or not name for name in environment):
        raise ValueError("env holds a name that no variable can have")
    lines = ["set -e", FIRST_TO_GO, "ulimit -c 0", *_limit_lines(limits)]
    place = shlex.quote(str(directory))
    lines += [f"(umask 077; mkdir -p -- {place})"] if make else []
    lines += [f"cd -- {place}", "unset PWD OLDPWD SHLVL"]
    strange = [name for name in environment if not VARIABLE.fullmatch(name) or name in SHELLS_OWN]
    words = list(command)
    if strange or command[0].startswith("-"):
        if "=" in command[0]:
            raise ValueError("a program cannot have = in its name")
        words = ["/usr/bin/env", "--", *(f"{name}={environment[name]}" for name in strange), *command]
    plain = [name for name in environment if name not in strange]
    lines += [f"export {name}={shlex.quote(environment[name])}" for name in plain]
    lines.append(f"exec {shlex.join(words)} < /dev/null")
    return "\n".join(lines).encode(errors="surrogateescape") + b"\n"


def _limit_lines(limits: Limits) -> list[str]:
    lines = []
    if limits.processes:
        # -p is dash's and busybox's letter, -u that of bash and ksh.
        lines.append(f"ulimit -p {limits.processes} 2> /dev/null || ulimit -u {limits.processes}")
    if limits.memory_bytes:
        lines.append(f"ulimit -d {limits.memory_bytes >> 10}")
    if limits.file_bytes:
        # In blocks of 512 bytes, as POSIX has it.
        lines.append(f"ulimit -f {limits.file_bytes >> 9}")
    if limits.cpu_seconds:
        # SIGXCPU at the limit, which says what happened; SIGKILL a second later.
        lines.append(f"ulimit -S -t {limits.cpu_seconds}; ulimit -H -t {limits.cpu_seconds + 1}")
    return lines
