"""Finds where in a log to begin: at its last lines, or at the first line that was written since a time."""

from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, NamedTuple

from msgspec import Struct, structs

from clusters.protocol import LogChunk

MARK_BYTES: Final = 65_536


class Selection(Struct, frozen=True, kw_only=True):
    """The part of a log that is asked for: its last `tail` lines, of those written `since` a time.

    Lines whose time is not known count as new, unless one behind them is known to be old.
    """

    since: int | None = None
    """The seconds since 1970."""
    tail: int | None = None

    @property
    def is_all(self) -> bool:
        return self.since is None and self.tail is None


class Beginning(NamedTuple):
    """Where in a log to begin: at a byte at which a chunk may begin, and after how many newlines there."""

    offset: int
    newlines: int = 0


async def find_beginning(
    chunks: AsyncGenerator[LogChunk, None], selection: Selection, offset: int
) -> Beginning:
    """Reads a log from byte `offset` to its end, and returns where the selected part begins.

    Keeps no text: a log is read again from there.
    """
    search = _Search(selection, offset)
    async with aclosing(chunks):
        async for chunk in chunks:
            search.add(chunk)
    return search.beginning


class _Search:
    """The search for the beginning of the selected part, chunk by chunk: counts newlines from `since` on."""

    def __init__(self, selection: Selection, offset: int) -> None:
        self._selection = selection
        self._end = offset
        self._within_line = False
        """Whether the log read so far ends within a line."""
        self._forget(offset)

    def __repr__(self) -> str:
        return f"_Search({self._selection}, {self._newlines} newlines before byte {self._end})"

    def _forget(self, offset: int) -> None:
        """Begins at a byte; the rest of a line that began before it is not of the selected part."""
        self._offset, self._skipped, self._newlines = offset, int(self._within_line), 0
        self._offsets = list[int]()
        self._newlines_before = list[int]()
        """Beginnings of chunks, `MARK_BYTES` apart at least, and how many newlines come before each."""

    def add(self, chunk: LogChunk) -> None:
        since = self._selection.since
        begin, self._end = self._end, chunk.offset
        self._within_line = not chunk.text.endswith("\n")
        if since is not None and chunk.written_at is not None and chunk.written_at < since:
            self._forget(chunk.offset)
            return
        if self._selection.tail is not None:
            if not self._offsets or begin >= self._offsets[-1] + MARK_BYTES:
                self._offsets.append(begin)
                self._newlines_before.append(self._newlines)
            self._newlines += chunk.text.count("\n")

    @property
    def beginning(self) -> Beginning:
        tail = self._selection.tail
        if tail is None:
            return Beginning(self._offset, self._skipped)
        if tail == 0 or not self._offsets:
            return Beginning(self._end, self._skipped if not self._offsets else 0)
        lines = self._newlines + self._within_line
        first = max(self._skipped, lines - tail)
        # The last chunk before which there are fewer newlines than are to be skipped.
        place = max(0, bisect_right(self._newlines_before, first - 1) - 1)
        return Beginning(self._offsets[place], first - self._newlines_before[place])


async def after_newlines(
    chunks: AsyncGenerator[LogChunk, None], newlines: int
) -> AsyncGenerator[LogChunk, None]:
    """Yields chunks of a log without the text up to the last of the given number of newlines."""
    async with aclosing(chunks):
        async for chunk in chunks:
            if newlines:
                *skipped, rest = chunk.text.split("\n", newlines)
                newlines -= len(skipped)
                if newlines or not rest:
                    continue
                chunk = structs.replace(chunk, text=rest)
            yield chunk
