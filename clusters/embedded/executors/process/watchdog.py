"""The programs `watchdog` and lease guard: they kill processes that outlive their cluster or run-lease.

The file is run as a program of its own, on the standard library alone; its first argument says which.

`python watchdog.py groups FOLDER` is the watchdog of a cluster. It reads lines `+PGID` and `-PGID` from its
standard input. When that closes, because the cluster has ended or was killed, it kills every process group
still listed, and then every process that was given a workspace below FOLDER. Neither a thread nor
PR_SET_PDEATHSIG (prctl(2)) would do: a thread dies with its process, and the signal is already sent when the
thread ends that started the child.

`python watchdog.py lease EXPIRES_AT BYTES DESCRIPTORS COMMAND...` is a lease guard. It runs COMMAND in a
process group of its own, with at most BYTES of memory (0: no limit), and kills it with all its descendants at
EXPIRES_AT (seconds of the machine's monotonic clock) or when its standard input, a socket, closes. It reads
COMMAND's environment from an open file, `NAME=value` and a NUL byte each; the guard's own environment is
another, so that nothing in a document's `env` (LD_PRELOAD) acts on the guard. DESCRIPTORS are numbers of open
files, joined by colons: the environment, then COMMAND's standard input if it has one, then others that it
inherits. Each line that the guard reads is a later EXPIRES_AT. It writes to the same socket: `+PGID` when the
command runs, then `=CODE` when it has ended, or `!` when the lease has; `-ERRNO` alone when the command could
not be started.
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
"""The most searches through all processes, since one may start another while the list is read."""
NAMELESS_ROUNDS = 20
"""The number of searches after which processes without an environment are ignored (0.2 s)."""


def signal_group(group: int, number: int = signal.SIGKILL) -> None:
    """Sends a signal to a process group; does nothing where the group is gone or belongs to another user."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def become_subreaper() -> None:
    """Makes this process a subreaper: orphaned descendants become its children (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_children(spared: Container[int] = ()) -> list[int]:
    """Reaps this process's ended children in sessions other than its own; returns the pids of living ones.

    Leaves out the pids `spared`, and children in its own session: other code waits for these.
    """
    session = os.getsid(0)
    while True:
        alive, reaped_any = list[int](), False
        for pid in _listed_children():
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                # Tries run in sessions of their own; the code that started another child waits for it.
                if pid not in spared and os.getsid(pid) != session:
                    reaped, _ = os.waitpid(pid, os.WNOHANG)
                    reaped_any = reaped_any or reaped > 0
                    alive += [] if reaped else [pid]
        # A child that has ended may have left us its own children after the list was read: read it again.
        if not reaped_any:
            return alive


def _listed_children() -> list[int]:
    try:
        with open(CHILDREN) as file:
            return list(map(int, file.read().split()))
    except FileNotFoundError:
        # Linux built without CONFIG_PROC_CHILDREN has no such list. Then every process is tried: waitpid
        # refuses those that are not our children.
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def environment_of(pid: int) -> list[bytes] | None:
    """Returns the environment that a process was started with, as a list of `NAME=value`.

    An empty list means that the process has ended or may not be read by us; None, that it has no environment,
    or none yet, since it is just executing another program.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = file.read()
        # A zombie or a kernel thread has no environment for good; it has no program either, and readlink
        # raises.
        return found.split(b"\0") if found or not os.readlink(f"/proc/{pid}/exe") else None
    except OSError:
        return []


def kill_all_below(folder: str) -> None:
    """Kills every process whose environment (WAYPOST_WORKSPACE) names a workspace below `folder`.

    Searches until none is left, `ROUNDS` times at most.
    """
    mark = b"WAYPOST_WORKSPACE=" + os.fsencode(folder) + b"/"
    for turn in range(ROUNDS):
        environments = {
            int(name): environment_of(int(name)) for name in os.listdir("/proc") if name.isdecimal()
        }
        found = [
            pid for pid, items in environments.items() if any(item.startswith(mark) for item in items or ())
        ]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # One without an environment may be executing another program at this moment, and have the mark right
        # after.
        if not found and (turn >= NAMELESS_ROUNDS or None not in environments.values()):
            return
        time.sleep(0.01)


def watch_groups(folder: str) -> int:
    """Runs the watchdog of a cluster until its standard input closes; returns the exit code, 0."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    # Standard input has closed: the cluster is gone, and nobody else ends what it has started.
    for group in groups:
        signal_group(group)
    kill_all_below(folder)
    return 0


class LeaseInput:
    """The run-lease of a guarded command, as read from standard input: valid until the latest time read.

    The lease also ends when standard input closes.
    """

    def __init__(self, expires_at: float) -> None:
        self._expires_at, self._partial_line = expires_at, b""

    def read_arrived(self) -> bool:
        """Reads the lease renewals that have arrived, without waiting; returns whether the lease still holds.

        The lease no longer holds when it has expired or standard input is closed.
        """
        while time.monotonic() < self._expires_at:
            ready, _, _ = select.select([0], [], [], 0.0)
            if not ready:
                return True
            if not self._read_renewals():
                return False
        return False

    def wait_for_exit(self, pidfd: int) -> bool:
        """Waits until a process exits or the run-lease ends; returns whether the process exited first.

        `pidfd` stands for the process. False: the lease expired first, or standard input closed.
        """
        while (left := self._expires_at - time.monotonic()) > 0:
            ready, _, _ = select.select([0, pidfd], [], [], left)
            # First: a command that ended at the last moment was not killed by its lease.
            if pidfd in ready:
                return True
            if 0 in ready and not self._read_renewals():
                return False
        return False

    def _read_renewals(self) -> bool:
        try:
            received = os.read(0, 4096)
        # The cluster's process is gone, and has left reports unread.
        except ConnectionResetError:
            return False
        *lines, self._partial_line = (self._partial_line + received).split(b"\n")
        self._expires_at = max([self._expires_at, *map(float, lines)])
        return bool(received)


def _read_environment(descriptor: int) -> dict[bytes, bytes]:
    with open(descriptor, "rb") as file:
        pairs = [item.partition(b"=") for item in file.read().split(b"\0") if item]
    return {name: value for name, _, value in pairs}


def guard_lease(expires_at: float, memory_bytes: int, descriptors: list[int], command: list[str]) -> int:
    """Runs `command`, and kills it if its run-lease ends first; returns the guard process's exit code.

    The exit code says nothing about the command.
    """
    become_subreaper()
    environment = _read_environment(descriptors[0])
    lease = LeaseInput(expires_at)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    # A limit above the guard's own cannot be set, and would allow no more.
    if hard != resource.RLIM_INFINITY:
        memory_bytes = min(memory_bytes, hard)
    # This process itself may have been started too late, or have waited for a processor until now.
    if not lease.read_arrived():
        _report("!")
        return 1

    def prepare() -> None:
        """Resets signal handlers and sets the memory limit in the child, just before it runs the command."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))

    try:
        child = subprocess.Popen(
            command,
            stdin=descriptors[1] if len(descriptors) > 1 else subprocess.DEVNULL,
            env=environment,
            pass_fds=descriptors[2:],
            start_new_session=True,
            preexec_fn=prepare,
        )
    except OSError as error:
        # The number says whether it is a fault of the task or of this machine, such as EAGAIN of fork(2).
        _report(f"-{error.errno}")
        return 1
    _report(f"+{child.pid}")
    in_time = lease.wait_for_exit(os.pidfd_open(child.pid))
    signal_group(child.pid)
    code = child.wait()
    _kill_descendants()
    # Last: when the cluster reads this line, no process of the try is left.
    _report(f"={code}" if in_time else "!")
    return 0


def _kill_descendants() -> None:
    """Kills all descendants of this process, also those that left their process group and session.

    This process is a subreaper: orphaned descendants become its children.
    """
    while alive := reap_children():
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _report(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(0, line.encode() + b"\n")


if __name__ == "__main__":
    # Ctrl-C reaches every process of a terminal's foreground group, and a service manager's SIGTERM every
    # process of the service: this one still has others to kill.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(
        watch_groups(sys.argv[2])
        if sys.argv[1] == "groups"
        else guard_lease(
            float(sys.argv[2]), int(sys.argv[3]), list(map(int, sys.argv[4].split(":"))), sys.argv[5:]
        )
    )
