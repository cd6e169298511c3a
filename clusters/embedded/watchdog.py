"""Ends what must not outlive the process that started it. Runs as a program of its own, on the standard library alone.

`python watchdog.py groups`: reads `+PGID` and `-PGID` lines; when the pipe closes, because its writer was killed, every group still
listed is killed. A thread or PR_SET_PDEATHSIG would not do: the first dies with the process, the second fires when a thread ends.

`python watchdog.py lease UNTIL COMMAND...`: runs the command in a process group of its own and kills the group at UNTIL (seconds of the
machine's monotonic clock), or when the pipe closes. Each line read is a later UNTIL. Ends with the command's own exit code.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def watch_groups() -> int:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    for group in groups:
        kill_group(group)
    return 0


def hold_lease(until: float, command: list[str]) -> int:
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        return 127
    ended = os.pidfd_open(child.pid)
    buffer = b""
    while True:
        ready, _, _ = select.select([0, ended], [], [], max(0.0, until - time.monotonic()))
        if ended in ready:
            break
        news = os.read(0, 4096) if 0 in ready else b""
        if not news:  # the lease is over, or whoever renews it is gone
            kill_group(child.pid)
            child.wait()
            return 128 + signal.SIGKILL
        *lines, buffer = (buffer + news).split(b"\n")
        until = max([until, *map(float, lines)])
    kill_group(child.pid)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(watch_groups() if sys.argv[1] == "groups" else hold_lease(float(sys.argv[2]), sys.argv[3:]))
