"""Reads the log files of tasks, and cuts the middle out of those that are too long."""

import asyncio
import codecs
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from clusters.errors import ClusterError
from clusters.protocol import LogChunk

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.2
"""The seconds between two reads of a followed log that has nothing new."""
LOG_BYTES = 16 * 1_048_576
"""The size in bytes above which a log is shortened to its head and its tail."""
HEAD_BYTES = 1_048_576
TAIL_BYTES = 7 * 1_048_576
CUT = b"\n[waypost: the log grew too long, what was here is cut]\n"


async def read_log(path: Path, *, offset: int, is_running: Callable[[], bool]) -> AsyncIterator[LogChunk]:
    """Yields a task's log from byte `offset` to its end, and, while `is_running()`, what is appended.

    No character is split between two chunks; bytes that are not UTF-8 are shown as U+FFFD. Raises
    `ClusterError` with the reason `NotFound` where there is no log and none will come.
    """
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        # Asked before the file is read: what the task wrote before its end is then in this last read.
        last = not is_running()
        found = await loop.run_in_executor(None, _read_piece, path, offset)
        if found is None and last:
            raise ClusterError("NotFound", "no log of that task is here", retryable=False)
        begin, piece = found or (offset, b"")
        offset = begin + len(piece)
        text = decoder.decode(piece, final=last and not piece)
        if text:
            # The offset of a whole character: the decoder holds back the bytes of one that is not complete.
            yield LogChunk(text=text, offset=offset - len(decoder.getstate()[0]))
        if not piece and last:
            return
        if not piece:
            await asyncio.sleep(POLL_SECONDS)


def _read_piece(path: Path, offset: int) -> tuple[int, bytes] | None:
    """Reads up to `CHUNK_BYTES` of a log from `offset`; returns the first byte's position, and the bytes.

    Returns None where there is no log. The position is the end of the file where that is before `offset`: the
    log was shortened meanwhile.
    """
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            begin = min(offset, os.fstat(file.fileno()).st_size)
            file.seek(begin)
            return begin, file.read(CHUNK_BYTES)
    except OSError:
        return None


def open_regular(path: Path, flags: int) -> int:
    """Opens a regular file and returns its descriptor; refuses links and pipes. Raises `OSError`.

    A task may have put anything at `path`: a link may lead to a file that only the cluster may read, and a
    pipe would block until somebody writes to it.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "its log is no regular file")
    return descriptor


def shorten(path: Path) -> None:
    """Removes the middle of a log file that is over `LOG_BYTES`. Blocks. Raises `OSError`.

    Running tasks append to the file (O_APPEND), so they go on writing at its new end. What they write while
    it is shortened may be lost.
    """
    with open(open_regular(path, os.O_RDWR), "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= LOG_BYTES:
            return
        file.seek(size - TAIL_BYTES)
        tail = file.read(TAIL_BYTES)
        file.truncate(HEAD_BYTES)
        file.seek(HEAD_BYTES)
        file.write(CUT + tail)
