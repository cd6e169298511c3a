"""Ends what must not outlive the process that started it. Runs as a program of its own, on the standard library alone.

`python watchdog.py groups FOLDER`: reads `+PGID` and `-PGID` lines; when the pipe closes, because its writer was killed, every group still
listed is killed, and with them whatever else was given a workspace below FOLDER. A thread or PR_SET_PDEATHSIG would not do: the first dies
with the process, the second fires when a thread ends.

`python watchdog.py lease UNTIL BYTES COMMAND...`: a guard. Runs the command in a process group of its own, with BYTES of memory at most (0:
any), and kills it with all that it started at UNTIL (seconds of the machine's monotonic clock), or when its input, a socket, closes. Each
line read is a later UNTIL. It writes `+PGID` when the command runs, then `=CODE` when that has ended, or `!` when the lease has.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Container

PR_SET_CHILD_SUBREAPER = 36
CHILDREN = "/proc/thread-self/children"
ROUNDS = 50
"""A process may start another while the list of all is gone through."""
NAMELESS_ROUNDS = 20
"""So often those are looked at again that have no environment."""


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def become_subreaper() -> None:
    """Processes that lose their parents become children of this one, if they descend from it: wherever they have moved to."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(spared: Container[int] = ()) -> list[int]:
    """Those of this process in other sessions that live. Who has ended is collected; since that may have left us others, it looks again."""
    session = os.getsid(0)
    while True:
        alive, ended = list[int](), False
        for pid in _listed():
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                if pid not in spared and os.getsid(pid) != session:
                    collected, _ = os.waitpid(pid, os.WNOHANG)
                    ended = ended or collected > 0
                    alive += [] if collected else [pid]
        if not ended:
            return alive


def _listed() -> list[int]:
    try:
        with open(CHILDREN) as file:
            return list(map(int, file.read().split()))
    except FileNotFoundError:  # not every kernel has it: then each process is asked whether it is ours
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def environment(pid: int) -> list[bytes] | None:
    """`NAME=value` each, as the process was started; none for one that has ended or is not ours to look at.

    None: it has no environment, or not yet, since it is just becoming another program.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = file.read()
        return found.split(b"\0") if found or not os.readlink(f"/proc/{pid}/exe") else None
    except OSError:
        return []


def end_all_below(folder: str) -> None:
    """Kills every process that was given a workspace below `folder`."""
    mark = b"WAYPOST_WORKSPACE=" + os.fsencode(folder) + b"/"
    for turn in range(ROUNDS):
        environments = {int(name): environment(int(name)) for name in os.listdir("/proc") if name.isdecimal()}
        found = [
            pid for pid, items in environments.items() if any(item.startswith(mark) for item in items or ())
        ]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found and (turn >= NAMELESS_ROUNDS or None not in environments.values()):
            return
        time.sleep(0.01)


def watch_groups(folder: str) -> int:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    for group in groups:
        kill_group(group)
    end_all_below(folder)
    return 0


class Holding:
    """A lease as its guard knows it."""

    def __init__(self, until: float) -> None:
        self._until, self._rest = until, b""

    def goes_on(self, ended: int | None = None) -> bool:
        """Waits until the command has `ended`: True; or until the lease is over or its writer is gone: False. Without one, looks once."""
        watched = [0] if ended is None else [0, ended]
        while (left := self._until - time.monotonic()) > 0:
            ready, _, _ = select.select(watched, [], [], 0.0 if ended is None else left)
            if ended in ready:
                return True
            if 0 in ready and not self._renewed():
                return False
            if ended is None and not ready:
                return True
        return False

    def _renewed(self) -> bool:
        try:
            news = os.read(0, 4096)
        except ConnectionResetError:
            return False
        *lines, self._rest = (self._rest + news).split(b"\n")
        self._until = max([self._until, *map(float, lines)])
        return bool(news)


def hold_lease(until: float, memory_bytes: int, command: list[str]) -> int:
    become_subreaper()
    lease = Holding(until)
    if not lease.goes_on():
        _tell("!")
        return 1

    def prepare() -> None:
        """As the command would find things without a guard."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))

    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=prepare
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        return 127
    _tell(f"+{child.pid}")
    in_time = lease.goes_on(os.pidfd_open(child.pid))
    kill_group(child.pid)
    code = child.wait()
    while True:
        for pid in (left := children()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            break
        time.sleep(0.002)
    _tell(f"={code}" if in_time else "!")
    return 0


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(0, line.encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(
        watch_groups(sys.argv[2])
        if sys.argv[1] == "groups"
        else hold_lease(float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    )
