"""Tests a database on a full disk."""

import os
import sqlite3
from pathlib import Path

import pytest

from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_group_commit import Database


async def test_a_database_on_a_full_disk_says_that_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says "disk I/O error" where its shared memory finds no room, which could be anything."""
    used = os.statvfs(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("waypost.sqlite_group_commit.sqlite3.connect", refuse)
    for room, said in ((0, True), (used.f_blocks, False)):
        disk = os.statvfs_result((used.f_bsize, used.f_frsize, used.f_blocks, room, room, *used[5:10]))
        monkeypatch.setattr("waypost.sqlite_files.disk_space.os.statvfs", lambda _, disk=disk: disk)
        with pytest.raises(StorageError, match="disk I/O error") as raised:
            await Database(tmp_path / "gateway.db").__aenter__()
        assert ("the disk is full" in str(raised.value)) == said
