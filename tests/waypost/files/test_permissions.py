"""Tests files and folders that only their owner may read, whatever the umask."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from waypost.files.permissions import make_private_folder, narrow, open_private, write_private
from waypost.sqlite_group_commit import Database


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir()}


@pytest.mark.usefixtures("_umask")
def test_a_folder_is_private_with_its_parents(tmp_path: Path) -> None:
    """`Path.mkdir` makes the parents as wide as the umask lets it."""
    make_private_folder(tmp_path / "a" / "b" / "c")

    assert {mode(path) for path in tmp_path.rglob("*")} == {0o700}


@pytest.mark.usefixtures("_umask")
def test_a_file_is_private_also_where_a_wider_one_was(tmp_path: Path) -> None:
    """An older version wrote it."""
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o644)
    for name in ("old", "new"):
        write_private(tmp_path / name, b"x")

    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.usefixtures("_umask")
def test_a_log_is_private_from_its_first_byte(tmp_path: Path) -> None:
    os.close(open_private(str(tmp_path / "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT))

    assert modes(tmp_path) == {"log": 0o600}


@pytest.mark.usefixtures("_umask")
async def test_a_database_is_private_with_its_log_and_index(tmp_path: Path) -> None:
    """It holds what tenants submit."""
    async with Database(tmp_path / "a.db") as database:
        await database.write(lambda db: db.execute("create table t (x)"))
        await database.read(lambda db: db.execute("select * from t").fetchall())
        files = modes(tmp_path)

    assert {"a.db", "a.db-wal", "a.db-shm"} <= files.keys()
    assert set(files.values()) == {0o600}


async def test_a_database_that_others_could_read_is_narrowed_and_the_log_says_so(
    tmp_path: Path, logged: list[str]
) -> None:
    """With the files that a killed process has left beside it."""
    path = tmp_path / "a.db"
    left = sqlite3.connect(path)
    left.execute("pragma journal_mode=wal")
    left.execute("create table t (x)")
    for name in modes(tmp_path):
        (tmp_path / name).chmod(0o644)
    async with Database(path):
        found = modes(tmp_path)
    left.close()

    assert found == dict.fromkeys(["a.db", "a.db-wal", "a.db-shm"], 0o600)
    assert sum("could be read by others (644)" in line for line in logged) == 3


def test_what_is_narrow_or_absent_is_not_logged(tmp_path: Path, logged: list[str]) -> None:
    """At each start otherwise."""
    write_private(tmp_path / "a", b"")
    narrow(tmp_path / "a")
    narrow(tmp_path / "b")

    assert logged == []
