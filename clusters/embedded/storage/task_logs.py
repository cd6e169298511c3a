"""Reads the log files of tasks, and cuts the middle out of those that are too long."""

import asyncio
import codecs
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from clusters.embedded.storage.log_times import LogTimes, record_cut
from clusters.embedded.storage.regular_files import open_regular
from clusters.errors import ClusterError
from clusters.protocol import LogChunk
from clusters.protocol_bounds import WALL_TIME_MAXIMUM

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.2
"""The seconds between two reads of a followed log that has nothing new."""
LOG_BYTES = 16 * 1_048_576
"""The size in bytes above which a log is shortened to its head and its tail."""
HEAD_BYTES = 1_048_576
TAIL_BYTES = 7 * 1_048_576
CUT = b"\n[waypost: the log grew too long, what was here is cut]\n"


class Piece(NamedTuple):
    """A piece of a log: where it begins, and its parts, each with the time of its writing if known."""

    begin: int
    parts: Sequence[tuple[bytes, float | None]]


async def read_log(
    path: Path, *, offset: int, follow: bool, is_unfinished: Callable[[], bool], times: LogTimes | None = None
) -> AsyncIterator[LogChunk]:
    """Yields a task's log from byte `offset` to its end; with `follow` also what an unfinished task appends.

    No character is split between two chunks; bytes that are not UTF-8 are shown as U+FFFD. With `times` each
    chunk has the time at which it was written, if that is known. Raises `ClusterError` with the reason
    `NotFound` where there is no log and none will come.
    """
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        # Asked before the file is read: what the task wrote before its end is then in this last read.
        unfinished = is_unfinished()
        last = not (follow and unfinished)
        found = await loop.run_in_executor(None, _read_piece, path, offset, times, unfinished)
        if found is None and last:
            raise ClusterError("NotFound", "no log of that task is here", retryable=False)
        begin, parts = found or (offset, ())
        offset, ended = begin, last and not parts and not unfinished
        for part, written_at in (*parts, (b"", None)) if ended else parts:
            offset += len(part)
            if text := decoder.decode(part, final=ended):
                # The offset of a whole character: the decoder holds back the bytes of an incomplete one.
                held = len(decoder.getstate()[0])
                yield LogChunk(text=text, offset=offset - held, written_at=written_at)
        if not parts and last:
            return
        if not parts:
            await asyncio.sleep(POLL_SECONDS)


def _read_piece(path: Path, offset: int, times: LogTimes | None, unfinished: bool) -> Piece | None:
    """Reads up to `CHUNK_BYTES` of a log from `offset`; returns None where there is no log.

    The piece begins at the end of the file where that is before `offset`: the log was shortened meanwhile.
    """
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:
            found = os.fstat(file.fileno())
            begin = min(offset, found.st_size)
            file.seek(begin)
            piece = file.read(CHUNK_BYTES)
    except OSError:
        return None
    if times is None or not piece:
        return Piece(begin, ((piece, None),) if piece else ())
    times.refresh()
    newest = min(max(found.st_mtime, 0.0), WALL_TIME_MAXIMUM)
    return Piece(begin, tuple(times.parts(begin, piece, newest=newest, growing=unfinished)))


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
    record_cut(path, begin=HEAD_BYTES, end=size - TAIL_BYTES, inserted=len(CUT))
