"""Tests the SQLite database: one writer, group commits, and who gets which failure."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_files.structure_check import check_file
from waypost.sqlite_group_commit import Database
from waypost.turns import turn_key

T = TypeVar("T")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path / "a.db") as database:
        await database.write(lambda db: db.execute("create table word (text text primary key) without rowid"))
        yield database


def put(db: sqlite3.Connection, text: str) -> int:
    """Inserts a word and returns the id of the thread that ran it."""
    db.execute("insert into word values (?)", (text,))
    return threading.get_ident()


def words(path: Path) -> list[str]:
    """Returns the words in the file, as another process would read them."""
    db = sqlite3.connect(path)
    try:
        return [text for (text,) in db.execute("select text from word order by text")]
    finally:
        db.close()


@pytest.mark.parametrize("brief", [True, False])
async def test_what_was_written_is_there_for_others_when_it_returns(
    database: Database, tmp_path: Path, brief: bool
) -> None:
    """An acknowledgement is a promise, whichever thread ran the statement."""
    await database.write(partial(put, text="a"), brief=brief)

    assert words(tmp_path / "a.db") == ["a"]


async def test_brief_work_needs_no_hand_over(database: Database) -> None:
    """It is run where it was asked for; only the commit goes to the writer's thread.

    Long work keeps off the event loop.
    """
    here = threading.get_ident()

    assert await database.write(partial(put, text="a"), brief=True) == here
    assert await database.write(partial(put, text="b"), brief=False) != here


async def test_a_group_with_one_long_item_keeps_off_the_event_loop(database: Database) -> None:
    """The long one must not hide behind brief ones."""
    threads = await asyncio.gather(
        *(database.write(partial(put, text=str(n)), brief=n != 3) for n in range(6))
    )

    assert threading.get_ident() not in threads


@pytest.mark.parametrize("brief", [True, False])
async def test_one_failure_in_a_group_is_its_own(database: Database, tmp_path: Path, brief: bool) -> None:
    """A key that is taken is that caller's matter: the others are committed, and the caller hears what was
    wrong.
    """
    wanted = ["a", "b", "a", "c"]
    results = await asyncio.gather(
        *(database.write(partial(put, text=text), brief=brief) for text in wanted),
        return_exceptions=True,
    )

    assert [type(result) for result in results if isinstance(result, Exception)] == [sqlite3.IntegrityError]
    assert words(tmp_path / "a.db") == ["a", "b", "c"]


async def test_everything_queued_is_written_before_it_closes(tmp_path: Path) -> None:
    """Leaving is no way to lose what was asked for; what comes later is refused."""
    async with Database(tmp_path / "a.db", group_size=3) as database:
        await database.write(lambda db: db.execute("create table word (text text primary key) without rowid"))
        waiting = [database.write(partial(put, text=str(n)), brief=n % 2 == 0) for n in range(10)]
    with pytest.raises(StorageError, match="closed"):
        await database.write(partial(put, text="late"))

    assert all(done.done() for done in waiting)
    assert words(tmp_path / "a.db") == [str(n) for n in range(10)]


@pytest.mark.parametrize("brief", [True, False])
async def test_a_full_disk_fails_all_and_passes(database: Database, tmp_path: Path, brief: bool) -> None:
    """Nothing is acknowledged that is not there; once there is room again, it works again."""
    pages = await database.write(lambda db: db.execute("pragma page_count").fetchone()[0])
    await database.write(lambda db: db.execute(f"pragma max_page_count = {pages}").fetchone())
    large = "x" * 20_000
    with pytest.raises(StorageError):
        await database.write(partial(put, text=large), brief=brief)
    assert words(tmp_path / "a.db") == []
    await database.write(lambda db: db.execute("pragma max_page_count = 1000000").fetchone())
    await database.write(partial(put, text=large), brief=brief)

    assert words(tmp_path / "a.db") == [large]


async def test_a_second_owner_is_refused(database: Database, tmp_path: Path) -> None:
    """Two writers and checkpointers on one file may corrupt it."""
    with pytest.raises(StorageError, match="in use by another process"):
        async with Database(tmp_path / "a.db"):
            pass


async def test_readers_see_what_is_committed_and_cannot_write(database: Database) -> None:
    """A read goes past the writer, never through it."""
    await database.write(partial(put, text="a"), brief=True)

    assert await database.read(lambda db: db.execute("select count(*) from word").fetchone()) == (1,)
    with pytest.raises(StorageError):
        await database.read(partial(put, text="b"))


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%20b", "a b"])
async def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    """Read as an URI it would lead to another file, or to none."""
    (tmp_path / name).mkdir()
    async with Database(tmp_path / name / "a.db") as database:
        await database.write(lambda db: db.execute("create table word (text text)"))
        assert await database.read(lambda db: db.execute("select count(*) from word").fetchone()) == (0,)


ANOTHER = """
import asyncio, sys
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_files.structure_check import check_file
from waypost.sqlite_group_commit import Database

async def main():
    try:
        async with Database(sys.argv[1]):
            print("opened")
    except StorageError as error:
        print(error)

asyncio.run(main())
"""


def open_elsewhere(path: Path) -> str:
    """Opens the file in another process, and returns what that prints."""
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.integration
@pytest.mark.parametrize("link", ["symbolic", "hard", "folder"])
async def test_a_file_is_one_whatever_its_name(database: Database, tmp_path: Path, link: str) -> None:
    """Two owners would each acknowledge what the other does not see."""
    other = tmp_path / "elsewhere" / "b.db"
    if link == "folder":
        other.parent.symlink_to(tmp_path)
        other = other.parent / "a.db"
    else:
        other.parent.mkdir()
        (other.symlink_to if link == "symbolic" else other.hardlink_to)(tmp_path / "a.db")

    assert open_elsewhere(other) == f"{other} is in use by another process: one process owns a database"
    with pytest.raises(StorageError, match="in use"):
        await Database(other).__aenter__()


@pytest.mark.integration
async def test_there_is_no_lock_file_to_remove(database: Database, tmp_path: Path) -> None:
    """The lock is on the database itself."""
    assert set(os.listdir(tmp_path)) <= {"a.db", "a.db-wal", "a.db-shm"}

    assert "in use" in open_elsewhere(tmp_path / "a.db")


async def test_a_refused_open_leaves_the_owners_locks(database: Database, tmp_path: Path) -> None:
    """POSIX locks end when a process closes any descriptor of the file; without them another process that
    reads would remove the log under the owner."""
    with pytest.raises(StorageError):
        await Database(tmp_path / "a.db").__aenter__()
    await database.write(partial(put, text="a"))

    assert words(tmp_path / "a.db") == ["a"]
    assert (tmp_path / "a.db-wal").exists()
    await database.write(partial(put, text="b"))
    assert words(tmp_path / "a.db") == ["a", "b"]


async def test_the_file_is_free_after_a_failed_open(tmp_path: Path) -> None:
    """A file that is no database is refused; put in order, it is taken."""
    path = tmp_path / "a.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match=r"a\.db is damaged \(file is not a database\): .*copy"):
        await Database(path).__aenter__()
    path.unlink()

    async with Database(path):
        pass


async def damage(path: Path, page: int) -> None:
    """Creates a database of many pages, and overwrites one of them while it is closed."""
    async with Database(path) as database:
        await database.write(lambda db: db.execute("create table word (text text primary key) without rowid"))
        await asyncio.gather(*(database.write(partial(put, text=f"{n:05}" * 200)) for n in range(200)))
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("page", [1, 5, 40])
async def test_a_damaged_page_is_found_when_the_file_is_opened(tmp_path: Path, page: int) -> None:
    """One sentence that names the file and what to do."""
    await damage(tmp_path / "a.db", page)

    with pytest.raises(StorageError, match=r"a\.db is damaged .*: stop what uses it, and put back a copy"):
        await Database(tmp_path / "a.db").__aenter__()


@pytest.mark.parametrize("brief", [True, False])
async def test_damage_that_is_found_later_is_a_failing_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brief: bool
) -> None:
    """A file can be too large to be checked whole at the start, and a disk can fail later."""
    await damage(tmp_path / "a.db", 1)
    monkeypatch.setattr("waypost.sqlite_files.opening.check_file", lambda *_: None)

    async with Database(tmp_path / "a.db") as database:
        with pytest.raises(StorageError, match=r"a\.db is damaged"):
            await database.read(lambda db: db.execute("select sum(length(text)) from word").fetchone())
        with pytest.raises(StorageError, match=r"a\.db is damaged"):
            await database.write(lambda db: db.execute("update word set text = text || 'x'"), brief=brief)


def test_the_check_is_bounded(tmp_path: Path) -> None:
    """A large store must not keep its gateway from starting."""
    db = sqlite3.connect(tmp_path / "a.db")
    db.execute("create table word (text text)")
    db.executemany("insert into word values (?)", [("x" * 100,)] * 20_000)
    db.commit()

    check_file(db, -1.0)
    assert db.execute("select count(*) from word").fetchone() == (20_000,)
    db.close()


async def read_for(key: str | None, database: Database, work: Callable[[sqlite3.Connection], T]) -> T:
    turn_key.set(key)
    return await database.read(work)


async def test_what_the_process_reads_for_itself_waits_for_no_caller(database: Database) -> None:
    """A lease is granted on a fresh read: one that came behind a thousand lists would let it run out."""
    let_go = threading.Event()
    noisy = [asyncio.create_task(read_for("noisy", database, lambda _: let_go.wait())) for _ in range(20)]
    await asyncio.sleep(0)

    try:
        assert await read_for(None, database, lambda _: "own") == "own"
        assert not any(task.done() for task in noisy)
    finally:
        let_go.set()
    assert await asyncio.gather(*noisy) == [True] * 20


async def test_callers_take_turns_at_reading(tmp_path: Path) -> None:
    """The next free thread reads for the other one, not for the crowd that came first."""
    let_go, order = threading.Event(), list[str]()

    def work(key: str) -> None:
        let_go.wait()
        order.append(key)

    async with Database(tmp_path / "turns.db", readers=1) as database:
        await database.write(lambda db: db.execute("create table t (x)"))
        crowd = [asyncio.create_task(read_for("noisy", database, lambda _: work("noisy"))) for _ in range(20)]
        await asyncio.sleep(0)
        other = asyncio.create_task(read_for("quiet", database, lambda _: work("quiet")))
        await asyncio.sleep(0)
        let_go.set()
        await asyncio.gather(*crowd, other)

    assert order.index("quiet") <= 2
