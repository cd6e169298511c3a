"""Records when the log files of running tries grow, in a small file beside each log, and reads it again.

A task writes to its log itself, so nobody sees its lines come. A record is a time and the size of the log at
that time: what lies between the sizes of two records was written after the first and at the time of the
second, by the clock of the file system. Records are made while a try runs and at its end, `RECORDS_MAXIMUM`
at most for each log: of more, every second one is dropped.
"""

import contextlib
import os
import stat
import struct
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from clusters.embedded.storage.regular_files import open_regular
from clusters.protocol_bounds import WALL_TIME_MAXIMUM

RECORDS_MAXIMUM: Final = 16_384
FORM: Final = struct.Struct("<dQ")
UNKNOWN: Final = 0.0
"""The time in the record of what an earlier version of the cluster has written."""
_REWRITING: Final = threading.Lock()
"""Held while a file of records is replaced, by threads alone: the next change is then of the new file."""


class Growth(NamedTuple):
    """A record of a log's growth: when it had how many bytes, in seconds since 1970."""

    at: float
    size: int


def times_file(log: Path) -> Path:
    """Returns the path of the file in which the growth of a log is recorded."""
    return log.with_name(f"{log.name}.times")


class GrowingLog:
    """The log of a running try, whose growth `record` records. Its methods block for one small write."""

    def __init__(self, log: Path) -> None:
        self._log, self._times = log, times_file(log)
        self._lock = threading.Lock()
        self._size = self._records = 0
        self._take_up()

    def __repr__(self) -> str:
        return f"GrowingLog({self._log.name}, {self._size} bytes, {self._records} records)"

    def _take_up(self) -> None:
        """Records what an earlier try has written after its last record, as when its cluster was killed."""
        with contextlib.suppress(OSError):
            size = self._log.lstat().st_size
            if not size:
                return
            records = read_growth(self._log)
            self._records = len(records)
            if records:
                self._size = records[-1].size
                self.record()
            else:
                # Who has written it has recorded nothing, so the time of its last line is not that of all.
                self._append(Growth(UNKNOWN, size))

    def record(self) -> None:
        """Records the log's present size, if it has another one than at the last call. Ignores errors."""
        with self._lock, contextlib.suppress(OSError):
            found = self._log.lstat()
            if found.st_size != self._size and stat.S_ISREG(found.st_mode):
                # The time of the last write. A task may have set it, but no line is from the future.
                self._append(Growth(min(found.st_mtime, time.time()), found.st_size))

    def _append(self, record: Growth) -> None:
        descriptor = open_regular(self._times, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, FORM.pack(*record))
        finally:
            os.close(descriptor)
        self._size = record.size
        self._records += 1
        if self._records >= RECORDS_MAXIMUM:
            with _REWRITING:
                records = read_growth(self._log)
                # From the end: the last record says up to where all is recorded.
                kept = records[::-2][::-1] if len(records) >= RECORDS_MAXIMUM else records
                _replace(self._times, kept)
                self._records = len(kept)


def read_growth(log: Path) -> Sequence[Growth]:
    """Reads the records of a log, in the order of sizes and times; none where there is no such file.

    A record that a later one contradicts is left out, and so is what a task may have put there.
    """
    try:
        with open(open_regular(times_file(log), os.O_RDONLY), "rb") as file:
            content = file.read(2 * RECORDS_MAXIMUM * FORM.size)
    except OSError:
        return ()
    found: list[Growth] = []
    for at, size in FORM.iter_unpack(content[: len(content) // FORM.size * FORM.size]):
        if not (0 <= at <= WALL_TIME_MAXIMUM and size <= 2**53):
            continue
        # The log has become shorter since.
        while found and found[-1].size > size:
            found.pop()
        if not found or found[-1].size < size:
            found.append(Growth(max(at, found[-1].at) if found else at, size))
    return found


def record_cut(log: Path, *, begin: int, end: int, inserted: int) -> None:
    """Changes the records of a log whose bytes from `begin` to `end` were replaced by `inserted` bytes.

    Ignores errors: without records the log has no times, but is whole.
    """
    with _REWRITING, contextlib.suppress(OSError):
        if records := read_growth(log):
            _replace(times_file(log), _after_cut(records, begin=begin, end=end, inserted=inserted))


def _after_cut(records: Iterable[Growth], *, begin: int, end: int, inserted: int) -> Iterable[Growth]:
    shift = inserted - (end - begin)
    for at, size in records:
        # Of those within the cut the first is kept: it says when the bytes before the cut were written.
        yield Growth(at, size + shift if size > end else min(size, begin))


def _replace(path: Path, records: Iterable[Growth]) -> None:
    new = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with open(open_regular(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(b"".join(FORM.pack(*record) for record in records))
    new.replace(path)


class LogTimes:
    """The times at which the parts of a log were written; reads the records again as they grow."""

    def __init__(self, log: Path) -> None:
        self._log, self._times = log, times_file(log)
        self._seen = (0, 0)
        self._growth: Sequence[Growth] = ()

    def __repr__(self) -> str:
        return f"LogTimes({self._log.name}, {len(self._growth)} records)"

    def refresh(self) -> None:
        """Reads the records, if there are others than before. Blocks."""
        try:
            found = self._times.lstat()
        except OSError:
            return
        if self._seen != (seen := (found.st_ino, found.st_size)):
            self._seen, self._growth = seen, read_growth(self._log)

    def parts(
        self, begin: int, piece: bytes, *, newest: float, growing: bool
    ) -> Iterable[tuple[bytes, float | None]]:
        """Yields the parts of a piece of the log, which begins at byte `begin`, with their times if known.

        `newest` is the time of the last write to the log: that of what is not yet recorded, if records are
        made (the log is `growing`) or were made before.
        """
        place = bisect_right(self._growth, begin, key=attrgetter("size"))
        while piece and place < len(self._growth):
            at, size = self._growth[place]
            part, piece = piece[: size - begin], piece[size - begin :]
            yield part, None if at == UNKNOWN else at
            begin, place = size, place + 1
        if piece:
            yield piece, newest if growing or self._growth else None
