"""Tests the times at which logs were written: recorded as they grow, bounded, and kept when a log is cut."""

import asyncio
import os
from pathlib import Path

import pytest

from clusters.embedded.storage import log_times, task_logs
from clusters.embedded.storage.log_recorder import LogRecorder
from clusters.embedded.storage.log_times import (
    FORM,
    GrowingLog,
    Growth,
    LogTimes,
    read_growth,
    times_file,
)
from clusters.embedded.storage.task_logs import read_log, shorten


def write(log: Path, text: str, at: float) -> None:
    """Appends to a log at the time `at`."""
    with log.open("a") as file:
        file.write(text)
    os.utime(log, (at, at))


async def timed(log: Path, offset: int = 0, *, unfinished: bool = False) -> list[tuple[str, float | None]]:
    chunks = read_log(log, offset=offset, follow=False, is_unfinished=lambda: unfinished, times=LogTimes(log))
    return [(chunk.text, chunk.written_at) async for chunk in chunks]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


async def test_each_line_has_the_time_of_its_writing(log: Path) -> None:
    """That of the file, so that lines which come between two looks have the time of the last of them."""
    growing = GrowingLog(log)
    for at, text in ((100.0, "one\n"), (101.0, "two\nthree\n"), (102.5, "雪 four")):
        write(log, text, at)
        growing.record()
        growing.record()

    assert await timed(log) == [("one\n", 100.0), ("two\nthree\n", 101.0), ("雪 four", 102.5)]
    assert await timed(log, 6) == [("o\nthree\n", 101.0), ("雪 four", 102.5)]
    assert len(read_growth(log)) == 3


async def test_what_is_not_yet_recorded_has_the_time_of_the_last_write(log: Path) -> None:
    """A reader does not wait for the next look at the log."""
    write(log, "one\n", 100.0)
    assert await timed(log, unfinished=True) == [("one\n", 100.0)]
    GrowingLog(log)


async def test_a_character_that_is_cut_by_a_record_is_whole(log: Path) -> None:
    """A task writes bytes; what is not complete at a look is of the next."""
    growing, text = GrowingLog(log), "雪".encode()
    for at, piece in ((100.0, text[:2]), (101.0, text[2:])):
        with log.open("ab") as file:
            file.write(piece)
        os.utime(log, (at, at))
        growing.record()

    assert await timed(log) == [("雪", 101.0)]


async def test_a_log_without_records_has_no_times(log: Path) -> None:
    """An earlier version of the cluster wrote it. What a try adds to it later has a time."""
    write(log, "old\n", 100.0)
    assert await timed(log) == [("old\n", None)]

    growing = GrowingLog(log)
    write(log, "new\n", 101.0)
    growing.record()
    assert await timed(log) == [("old\n", None), ("new\n", 101.0)]


async def test_what_a_killed_cluster_did_not_record_is_no_later_than_its_last_write(log: Path) -> None:
    """The next try of the task has its own lines timed by themselves."""
    first = GrowingLog(log)
    write(log, "one\n", 100.0)
    first.record()
    write(log, "lost\n", 101.0)
    assert await timed(log) == [("one\n", 100.0), ("lost\n", 101.0)]

    second = GrowingLog(log)
    write(log, "two\n", 200.0)
    second.record()
    assert await timed(log) == [("one\n", 100.0), ("lost\n", 101.0), ("two\n", 200.0)]


async def test_records_are_bounded_and_the_newest_is_kept(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many every second one goes: lines then have the time of a later one, not of an earlier one."""
    monkeypatch.setattr(log_times, "RECORDS_MAXIMUM", 8)
    growing = GrowingLog(log)
    for number in range(100):
        write(log, f"{number:02}\n", 100.0 + number)
        growing.record()
        assert len(read_growth(log)) < 8

    lines = [(line, at) for text, at in await timed(log) for line in text.splitlines()]
    assert [line for line, _ in lines] == [f"{number:02}" for number in range(100)]
    late = [(at or 0.0) - 100.0 - number for number, (_, at) in enumerate(lines)]
    assert min(late) == 0.0 == late[-1]


async def test_a_log_that_is_cut_keeps_the_times_of_its_ends(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on with those of what is written later."""
    for name, size in (("LOG_BYTES", 40), ("HEAD_BYTES", 10), ("TAIL_BYTES", 10), ("CUT", b"\n[cut]\n")):
        monkeypatch.setattr(task_logs, name, size)
    growing = GrowingLog(log)
    for number in range(10):
        write(log, f"line{number}\n", 100.0 + number)
        growing.record()
    shorten(log)
    os.utime(log, (109.0, 109.0))
    write(log, "more\n", 120.0)
    growing.record()

    assert await timed(log) == [
        ("line0\n", 100.0),
        ("line", 101.0),
        ("\n[cut]\nne8\n", 108.0),
        ("line9\n", 109.0),
        ("more\n", 120.0),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"\xff" * 160,
        FORM.pack(float("nan"), 1),
        FORM.pack(-1.0, 1) + FORM.pack(1e300, 2),
        FORM.pack(50.0, 2**63),
    ],
)
async def test_what_a_task_puts_in_place_of_the_records_is_no_time(log: Path, content: bytes) -> None:
    """Without a sandbox a task can write there; a cluster that reports it would be taken for a liar."""
    write(log, "one\n", 100.0)
    times_file(log).write_bytes(content)
    assert await timed(log) == [("one\n", None)]


async def test_records_lead_to_no_other_file(log: Path, tmp_path: Path) -> None:
    """A link in their place is not followed, neither to read nor to write."""
    secret = tmp_path / "secret"
    secret.write_bytes(FORM.pack(50.0, 4))
    times_file(log).symlink_to(secret)
    growing = GrowingLog(log)
    write(log, "one\n", 100.0)
    growing.record()
    assert await timed(log) == [("one\n", None)]
    assert secret.read_bytes() == FORM.pack(50.0, 4)


def test_no_line_is_from_the_future(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task may set its log's time. Times only grow, whatever the clock does."""
    monkeypatch.setattr("time.time", lambda: 150.0)
    growing = GrowingLog(log)
    for at, text in ((1e9, "one\n"), (90.0, "two\n")):
        write(log, text, at)
        growing.record()
    assert read_growth(log) == [Growth(150.0, 4), Growth(150.0, 8)]


async def test_logs_are_recorded_while_tries_run_and_at_their_end(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last lines of a try that is shorter than the pause between two looks have a time, too."""
    monkeypatch.setattr("clusters.embedded.storage.log_recorder.RECORD_SECONDS", 0.001)
    async with LogRecorder() as recorder:
        with recorder.watched(log):
            write(log, "one\n", 100.0)
            async with asyncio.timeout(10):
                while not read_growth(log):
                    await asyncio.sleep(0.001)
            recorder._recording.cancel()
            write(log, "two\n", 101.0)
    assert read_growth(log) == [Growth(100.0, 4), Growth(101.0, 8)]
