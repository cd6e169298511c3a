"""What tries have written: read back in pieces, and kept from filling the disk."""

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
LOG_BYTES = 16 * 1_048_576
"""A log that has grown over this is cut."""
HEAD_BYTES = 1_048_576
TAIL_BYTES = 7 * 1_048_576
CUT = b"\n[waypost: the log grew too long, what was here is cut]\n"


async def read_log(path: Path, *, offset: int, going_on: Callable[[], bool]) -> AsyncIterator[LogChunk]:
    """The file from byte `offset`; while `going_on`, also what is written meanwhile. Raises `ClusterError` where there is none.

    A character is never torn by the end of a piece; what is not UTF-8 is shown as U+FFFD.
    """
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        last = not going_on()
        found = await loop.run_in_executor(None, _read, path, offset)
        if found is None and last:
            raise ClusterError("NotFound", "no log of that task is here", retryable=False)
        begin, piece = found or (offset, b"")
        offset = begin + len(piece)
        text = decoder.decode(piece, final=last and not piece)
        if text:
            yield LogChunk(text=text, offset=offset - len(decoder.getstate()[0]))
        if not piece and last:
            return
        if not piece:
            await asyncio.sleep(POLL_SECONDS)


def _read(path: Path, offset: int) -> tuple[int, bytes] | None:
    """What follows `offset`, or the end where the file has been cut meanwhile; and where that begins."""
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            begin = min(offset, os.fstat(file.fileno()).st_size)
            file.seek(begin)
            return begin, file.read(CHUNK_BYTES)
    except OSError:
        return None


def open_regular(path: Path, flags: int) -> int:
    """A descriptor of the file. Raises `OSError`, also for what is no regular file.

    Tasks can reach it, and may have put there a link to something that is none of theirs, or a pipe that nobody writes to.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "its log is no regular file")
    return descriptor


def shorten(path: Path) -> None:
    """Takes the middle out of a log that is over `LOG_BYTES`. Its writers append, so they go on after what is left. Blocks."""
    with open(open_regular(path, os.O_RDWR), "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= LOG_BYTES:
            return
        file.seek(size - TAIL_BYTES)
        tail = file.read(TAIL_BYTES)
        file.truncate(HEAD_BYTES)
        file.seek(HEAD_BYTES)
        file.write(CUT + tail)
