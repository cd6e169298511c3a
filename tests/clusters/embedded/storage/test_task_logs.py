"""Tests the log files of tasks: read in pieces while they are written, and kept within a bound."""

from pathlib import Path

import pytest

from clusters.embedded.storage import task_logs as logs
from clusters.embedded.storage.task_logs import (
    CHUNK_BYTES,
    CUT,
    HEAD_BYTES,
    LOG_BYTES,
    TAIL_BYTES,
    read_log,
    shorten,
)
from clusters.errors import ClusterError


async def read(path: Path, offset: int = 0) -> list[tuple[str, int]]:
    return [
        (chunk.text, chunk.offset)
        async for chunk in read_log(path, offset=offset, follow=False, is_unfinished=lambda: False)
    ]


async def test_a_character_is_not_split_between_two_chunks(tmp_path: Path) -> None:
    """A reader that goes on from the offset of a chunk begins at a whole character too."""
    path, text = tmp_path / "a.log", "x" + "雪" * CHUNK_BYTES
    path.write_text(text)

    pieces = await read(path)

    assert "".join(piece for piece, _ in pieces) == text
    assert len(pieces) > 2
    for index, (_, offset) in enumerate(pieces):
        assert "".join(piece for piece, _ in await read(path, offset)) == "".join(
            piece for piece, _ in pieces[index + 1 :]
        )


async def test_what_is_not_text_is_shown_as_such(tmp_path: Path) -> None:
    """Also an incomplete character at the end of the log."""
    path = tmp_path / "a.log"
    path.write_bytes(b"a\xffb" + "雪".encode()[:2])

    assert "".join(piece for piece, _ in await read(path)) == "a\ufffdb\ufffd"


async def test_a_task_that_never_ran_has_no_log(tmp_path: Path) -> None:
    """That is an error, not an empty log."""
    with pytest.raises(ClusterError, match="no log"):
        await read(tmp_path / "a.log")


def test_a_log_within_its_bound_is_not_shortened(tmp_path: Path) -> None:
    """Not even one of exactly that size."""
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * LOG_BYTES)
    shorten(path)
    assert path.stat().st_size == LOG_BYTES


def test_a_log_that_grew_too_long_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    """People look for the first and the last lines of a task. Its writer goes on at the end."""
    path = tmp_path / "a.log"
    path.write_bytes(b"begin" + b"x" * LOG_BYTES + b"end")
    with path.open("ab") as writer:
        shorten(path)
        writer.write(b" more")
    found = path.read_bytes()
    assert found.startswith(b"begin")
    assert found.endswith(b"end more")
    assert found[HEAD_BYTES:].startswith(CUT)
    assert len(found) == HEAD_BYTES + len(CUT) + TAIL_BYTES + 5


async def test_a_follower_goes_on_at_the_end_of_a_log_that_was_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its offset is past the end now, where it would wait for ever."""
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.001)
    path, steps = tmp_path / "a.log", iter(["read", "cut", "more", "end"])
    path.write_bytes(b"x" * (LOG_BYTES + 1))

    def is_running() -> bool:
        step = next(steps, "end")
        if step == "cut":
            shorten(path)
        elif step == "more":
            with path.open("ab") as writer:
                writer.write(b"more")
        return step != "end"

    texts = [
        chunk.text async for chunk in read_log(path, offset=LOG_BYTES, follow=True, is_unfinished=is_running)
    ]
    assert texts == ["x", "more"]
