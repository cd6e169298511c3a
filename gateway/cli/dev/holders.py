"""Finds, in Linux's `/proc`, the processes that use a port or the folder of a `waypost up` stack.

Finds none where there is no `/proc`, or where it may not be read.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.cli.dev.region_folders import REGIONS

PROC: Final = Path("/proc")
STOPPED: Final = "T"
"""The state in `/proc/PID/stat` of a process that a signal has stopped."""
LISTENING: Final = "0A"
"""The code in `/proc/net/tcp` of a socket that listens."""
SHOWN_CHARACTERS: Final = 100
OURS: Final = frozenset({"gateway", "cluster", "--bundle", "--config-file"})
"""Words by which the command lines of a stack's processes are recognized: gateway, clusters, OPA."""


class Holder(NamedTuple):
    """A process that uses a port or a stack's folder: its process id and command line."""

    pid: int
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        state = ", which is stopped" if is_stopped(self.pid) else ""
        return f"process {self.pid}{state}: {shlex.join(self.arguments)[:SHOWN_CHARACTERS]}"


def holders_of_folder(folder: Path) -> list[Holder]:
    """Returns the processes of a stack whose command line names `folder` or a file in it.

    Those that were started again by hand are among them. This process is left out.
    """
    wholes = {str(folder.resolve()), str((folder / REGIONS).resolve())}
    return [
        holder
        for holder in _processes()
        if holder.pid != os.getpid()
        and not OURS.isdisjoint(holder.arguments)
        and any(
            word == whole or word.startswith(f"{whole}{os.sep}")
            for word in _absolute(holder)
            for whole in wholes
        )
    ]


def holder_of_port(port: int) -> Holder | None:
    """Returns the process that listens on the TCP port `port`; None if that cannot be found out."""
    sockets = set(_listening_sockets(port))
    return next((holder for holder in _processes() if sockets & set(_open_files(holder.pid))), None)


def kill_command(pids: Sequence[int]) -> str:
    """Formats the shell command that ends the processes `pids`.

    A stopped process takes no SIGTERM until it is continued, so the command continues those that are stopped.
    """
    stopped = [pid for pid in pids if is_stopped(pid)]
    words = ["kill", *map(str, pids), *(["&&", "kill", "-CONT", *map(str, stopped)] if stopped else [])]
    return " ".join(words)


def is_stopped(pid: int) -> bool:
    """Returns whether a signal has stopped a process, as Ctrl-Z in its terminal does."""
    try:
        status = (PROC / str(pid) / "stat").read_text()
    except OSError:  # it has ended meanwhile
        return False
    # Behind the program's name, which may hold spaces and parentheses.
    return status.rpartition(")")[2].split()[0] == STOPPED


def _processes() -> Iterator[Holder]:
    for path in PROC.glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:  # it has ended meanwhile, or is another user's
            continue
        yield Holder(int(path.parent.name), tuple(os.fsdecode(word) for word in words))


def _absolute(holder: Holder) -> Iterator[str]:
    """Yields the words of a process's command line, as paths from where it was started."""
    try:
        started_in = os.readlink(PROC / str(holder.pid) / "cwd")
    except OSError:  # it has ended meanwhile, or is another user's
        started_in = os.sep
    yield from (os.path.normpath(os.path.join(started_in, word)) for word in holder.arguments)


def _listening_sockets(port: int) -> Iterator[str]:
    """Yields the names, as in `/proc/PID/fd`, of the sockets that listen on the TCP port `port`."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"


def _open_files(pid: int) -> Iterator[str]:
    try:
        for link in (PROC / str(pid) / "fd").iterdir():
            yield os.readlink(link)
    except OSError:  # it has ended meanwhile, or is another user's
        return
