"""The main loop of a `WorkerPool` process: reads requests from standard input, answers on standard output.

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
"""Where processors are short, the event loop of the parent goes before."""
AUTOGROUP: Final = Path("/proc/self/autogroup")
"""The priority of this process's session, where the kernel shares processors between sessions (sched(7))."""
ADDRESS_SPACE_BYTES: Final = 2 << 30
"""More memory than a process needs for the largest request; what asks for more ends itself alone."""

Progress: TypeAlias = Callable[[int], None]
"""Records how many parts of the request are done: read by the parent when the process ends in the middle."""

Answer: TypeAlias = Callable[[bytes, Progress], bytes]


def frame(payload: bytes) -> bytes:
    """The frame of one message: `payload` preceded by its length."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def serve(prepare: Callable[[bytes], Answer], *, niceness: int = NICENESS) -> None:
    """Runs the loop that answers requests until standard input ends. `prepare` takes the greeting.

    `niceness` is the priority that the process gives up, as in nice(2), in its session and as a session.
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
    """Lowers the priority of this process's session, where it is its own; False: to be tried again."""
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
