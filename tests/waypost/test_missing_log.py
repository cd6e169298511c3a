"""Tests that a SQLite database without its write-ahead log is refused, and that a complete one is not."""

import asyncio
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.waypost.test_sqlite_group_commit import put, words
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_files.missing_log import MARK
from waypost.sqlite_group_commit import Database
from waypost.turns import turn_key


async def _left_open(path: Path) -> None:
    """Writes what a database killed in the middle of its work leaves at `path`, to `path` with its log."""
    async with Database(path.with_name("killed.db")) as database:
        await database.write(lambda db: db.execute("create table word (text text primary key) without rowid"))
        await database.mark_incomplete()
        await database.write(partial(put, text="a"))
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(f"killed.db{suffix}"), path.with_name(path.name + suffix))


async def test_a_file_without_its_log_is_refused(tmp_path: Path) -> None:
    """It would open as it was some time ago, a young one as an empty database. With the log it opens."""
    path, log = tmp_path / "b.db", tmp_path / "b.db-wal"
    await _left_open(path)
    log.rename(tmp_path / "aside")
    for _ in range(2):
        with pytest.raises(
            StorageError, match=r"b\.db-wal is missing, .*put that file back beside b\.db, or "
        ):
            await Database(path).__aenter__()
    log.touch()
    with pytest.raises(StorageError, match="is missing"):
        await Database(path).__aenter__()
    (tmp_path / "aside").rename(log)

    async with Database(path):
        assert words(path) == ["a"]


async def test_who_says_so_goes_on_without_the_log(tmp_path: Path) -> None:
    """With the command in the error."""
    path = tmp_path / "b.db"
    await _left_open(path)
    (tmp_path / "b.db-wal").unlink()
    db = sqlite3.connect(path)
    db.execute("pragma application_id=0")
    db.close()

    async with Database(path):
        assert words(path) == []


@pytest.mark.parametrize("how", ["closed", "backup", "vacuum", "opened elsewhere", "checkpoint"])
async def test_a_complete_file_needs_no_log(tmp_path: Path, how: str) -> None:
    """Whatever has copied the log into it, or into another file."""
    path = tmp_path / "b.db"
    await _left_open(path)
    db = sqlite3.connect(path)
    match how:
        case "closed":
            async with Database(path) as database:
                await database.mark_incomplete()
        case "backup":
            copy = sqlite3.connect(tmp_path / "copy.db")
            db.backup(copy)
            copy.close()
            path = tmp_path / "copy.db"
        case "vacuum":
            db.execute("vacuum into ?", (str(tmp_path / "copy.db"),))
            path = tmp_path / "copy.db"
        case "opened elsewhere":
            db.execute("select * from word").fetchall()
        case "checkpoint":
            db.execute("pragma wal_checkpoint(truncate)")
            path = Path(shutil.copy(path, tmp_path / "copy.db"))
    db.close()
    assert not path.with_name(f"{path.name}-wal").exists()

    async with Database(path):
        assert words(path) == ["a"]


@pytest.mark.parametrize("key", [None, "tenant"])
async def test_what_is_closed_is_whole_in_one_file(tmp_path: Path, key: str | None) -> None:
    """People copy a stopped database without its log. A reader that is still open would keep that there."""
    turn_key.set(key)
    async with Database(tmp_path / "a.db") as database:
        await database.write(lambda db: db.execute("create table word (text text)"))
        await database.read(lambda db: db.execute("select * from word").fetchall())

    assert os.listdir(tmp_path) == ["a.db"]


def _killed_while_marking(path: Path) -> None:
    """Writes what a database leaves at `path` that is killed before it has taken the mark back."""
    with closing(sqlite3.connect(path.with_name("killed.db"), isolation_level=None)) as db:
        db.execute("pragma journal_mode=wal")
        db.execute("create table word (text text primary key) without rowid")
        db.execute(f"pragma application_id={MARK}")
        db.execute("pragma wal_checkpoint(full)")
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(f"killed.db{suffix}"), path.with_name(path.name + suffix))


def _mark_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("pragma application_id").fetchone()[0])


@pytest.mark.parametrize("name", ["b.db", "link.db"])
async def test_who_was_killed_while_marking_leaves_no_mark(tmp_path: Path, name: str) -> None:
    """The file was complete: opened and closed in order it was refused. The log is beside the file itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to("real/b.db")
    path = tmp_path / name
    _killed_while_marking(path.resolve())
    async with Database(path):
        assert _mark_of(path) == 0
    async with Database(path):
        assert words(path) == []


async def test_a_mark_does_not_outlast_the_log(tmp_path: Path) -> None:
    """Whatever has left it, the log is copied into the file and removed when the database is closed."""
    path = tmp_path / "b.db"
    async with Database(path) as database:
        await database.write(lambda db: db.execute(f"pragma application_id={MARK}"))
    async with Database(path):
        assert _mark_of(path) == 0


async def test_a_failing_checkpoint_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is an error of the start."""
    path = tmp_path / "b.db"
    async with Database(path) as database:
        monkeypatch.setattr(database, "_db", _Unable(database._db))
        with pytest.raises(StorageError, match=r"cannot write to .*: disk I/O error"):
            await database.mark_incomplete()
        assert _mark_of(path) == 0


class _Unable:
    """A connection that cannot make a checkpoint."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self.close = db, db.close

    def execute(self, statement: str) -> sqlite3.Cursor:
        if "checkpoint" in statement:
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement)


async def test_a_start_that_is_given_up_is_closed_after_its_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that marks goes on when nobody waits for it any more."""
    begun, go_on, marked = threading.Event(), threading.Event(), []

    def mark(db: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)
        marked.append(db.execute("pragma application_id").fetchone())

    monkeypatch.setattr("waypost.sqlite_group_commit.mark_incomplete", mark)
    database = await Database(tmp_path / "b.db").__aenter__()
    marking = asyncio.create_task(database.mark_incomplete())
    await asyncio.to_thread(begun.wait, 10)
    marking.cancel()
    ending = asyncio.create_task(database.__aexit__())
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not ending.done()
    go_on.set()
    await ending
    assert marked == [(0,)]
