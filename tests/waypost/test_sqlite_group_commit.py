"""One writer, group commits, and what a failure means to whom."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from waypost.sqlite_group_commit import Database, StorageError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path / "a.db") as database:
        await database.write(lambda db: db.execute("create table word (text text primary key) without rowid"))
        yield database


def put(db: sqlite3.Connection, text: str) -> int:
    """Returns the thread that ran it."""
    db.execute("insert into word values (?)", (text,))
    return threading.get_ident()


def words(path: Path) -> list[str]:
    """As another process would find them."""
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
