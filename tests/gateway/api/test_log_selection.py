"""Tests where in a log a reader begins that asks for its last lines, or for those since a time."""

import itertools
from collections.abc import AsyncGenerator, Sequence

import pytest

from clusters.protocol import LogChunk
from gateway.api.logs import selection
from gateway.api.logs.selection import Selection, after_newlines, find_beginning

Pieces = Sequence[tuple[str, float | None]]


async def stream(pieces: Pieces, offset: int = 0) -> AsyncGenerator[LogChunk, None]:
    """Yields a log from byte `offset` on, in these pieces."""
    end = 0
    for text, at in pieces:
        end += len(text)
        if end > offset:
            yield LogChunk(text=text[max(0, len(text) - end + offset) :], offset=end, written_at=at)


async def selected(pieces: Pieces, *, since: int | None = None, tail: int | None = None) -> str:
    found = await find_beginning(stream(pieces), Selection(since=since, tail=tail), 0)
    rest = stream(pieces, found.offset)
    return "".join([chunk.text async for chunk in after_newlines(rest, found.newlines)])


@pytest.mark.parametrize("mark_bytes", [1, 4, 65_536])
@pytest.mark.parametrize("tail", range(7))
async def test_the_last_lines_are_those_of_the_whole_text(
    tail: int, mark_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the log is cut into pieces, and whether or not its last line is whole."""
    monkeypatch.setattr(selection, "MARK_BYTES", mark_bytes)
    for text in ("", "a", "\n", "a\nbc\n", "a\n\nb\r\u0085c\nd", "one\ntwo\nthree\nfour\n\n"):
        lines = text.splitlines(keepends=True) if "\r" not in text else ["a\n", "\n", "b\r\u0085c\n", "d"]
        for cuts in itertools.combinations(range(1, len(text)), 2):
            begins = (0, *cuts, len(text))
            pieces = [(text[a:b], None) for a, b in itertools.pairwise(begins)]
            assert await selected(pieces, tail=tail) == "".join(lines[len(lines) - min(tail, len(lines)) :])


TIMED: Pieces = [("old\nha", 1.0), ("lf\nmid\n", 2.0), ("new\n", 3.0), ("newer", 4.0)]


@pytest.mark.parametrize(
    ("since", "tail", "text"),
    [
        (0, None, "old\nhalf\nmid\nnew\nnewer"),
        (2, None, "mid\nnew\nnewer"),
        (3, None, "new\nnewer"),
        (4, None, "newer"),
        (5, None, ""),
        (2, 2, "new\nnewer"),
        (2, 9, "mid\nnew\nnewer"),
        (2, 0, ""),
        (5, 3, ""),
        (None, None, "old\nhalf\nmid\nnew\nnewer"),
    ],
)
async def test_lines_are_as_old_as_their_beginning(since: int | None, tail: int | None, text: str) -> None:
    """The rest of a line that began before is left out, as is what the last lines would have beyond it."""
    assert await selected(TIMED, since=since, tail=tail) == text


async def test_lines_of_unknown_time_count_as_new_unless_an_old_one_follows() -> None:
    """A cluster of an earlier version knows no times: then nothing is left out."""
    unknown: Pieces = [("one\n", None), ("two\n", None)]
    assert await selected(unknown, since=5) == "one\ntwo\n"
    assert await selected([*unknown, ("three\n", 6.0)], since=5) == "one\ntwo\nthree\n"
    assert await selected([*unknown, ("three\n", 4.0), ("four\n", 6.0)], since=5) == "four\n"


async def test_a_follower_sees_no_rest_of_an_old_line() -> None:
    """It begins at the end of the log, after the next newline that comes."""
    found = await find_beginning(stream(TIMED), Selection(since=9), 0)
    more = stream([*TIMED, ("!\nnext\n", 10.0)], found.offset)
    assert "".join([chunk.text async for chunk in after_newlines(more, found.newlines)]) == "next\n"
