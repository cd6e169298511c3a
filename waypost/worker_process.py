"""The main loop of a child process of `WorkerPool`: reads requests from stdin, writes answers to stdout.

Each message is its length in four bytes and its bytes. The first is the greeting. The process exits when the
other end of the pipe closes, and by a timer of the kernel when an answer takes twice its budget: evaluators
hold the interpreter lock, so Python code could not notice, and a parent that was killed kills no process.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

HEADER_BYTES: Final = 4
NICENESS: Final = 5
"""The niceness of a worker process: where processors are short, the parent's event loop goes first."""
AUTOGROUP: Final = Path("/proc/self/autogroup")
"""The file with the priority of this process's session, where sessions share processors (sched(7))."""
ADDRESS_SPACE_BYTES: Final = 2 << 30
"""The address space that a worker process may use: more than its largest request needs.

A request that asks for more ends only its own process.
"""

Progress: TypeAlias = Callable[[int], None]
"""A function that records how many parts of the request are finished.

The parent reads that when the process ends in the middle.
"""

Answer: TypeAlias = Callable[[bytes, Progress], bytes]


def frame(payload: bytes) -> bytes:
    """Returns the bytes of a message as they are sent: the length of `payload`, then `payload`."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def serve(prepare: Callable[[bytes], Answer], *, niceness: int = NICENESS) -> None:
    """Answers requests from standard input until its end, by the function that `prepare` returns.

    `prepare` is called with the first message, the greeting. The process lowers its scheduling priority by
    `niceness` (nice(2)), and that of its session, if the session is its own.
    """
    budget_seconds, progress_file = float(sys.argv[1]), int(sys.argv[2])
    os.nice(niceness)
    gave_way = _give_way(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    requests, replies = sys.stdin.buffer, sys.stdout.buffer

    def record(done: int) -> None:
        os.pwrite(progress_file, done.to_bytes(4, "big"), 0)

    answer: Answer | None = None
    while (payload := _receive(requests)) is not None:
        if answer is None:
            answer, reply = prepare(payload), b""
        else:
            gave_way = gave_way or _give_way(niceness)
            record(0)
            signal.setitimer(signal.ITIMER_REAL, 2 * budget_seconds)
            reply = answer(payload, record)
            signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(frame(reply))
        replies.flush()


def _give_way(niceness: int) -> bool:
    """Sets the niceness of this process's session; returns False if the call must be repeated later.

    The kernel takes only ten such changes a second from all processes together. Returns True, with nothing
    done, if the process does not lead its session, or where sessions have no niceness.
    """
    if os.getsid(0) != os.getpid():
        return True
    # With autogroups a niceness counts only within a session, and this process is alone in its own.
    try:
        AUTOGROUP.write_text(str(niceness))
    except BlockingIOError:
        return False  # the kernel takes ten such changes a second from all of its users together
    except OSError:
        pass  # no autogroups here, or /proc is not ours to write to
    return True


def _receive(requests: BinaryIO) -> bytes | None:
    header = requests.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    length = int.from_bytes(header, "big")
    payload = requests.read(length)
    return payload if len(payload) == length else None
