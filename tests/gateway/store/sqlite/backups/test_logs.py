"""Tests backup and restore where a store's write-ahead log is missing, in use, or must be moved back."""

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.backups import BackupError
from gateway.store.sqlite.backups import restore as restoring
from gateway.store.sqlite.backups.backup import take_backup
from gateway.store.sqlite.backups.restore import restore_backup
from tests.conformance.store_values import admission
from tests.gateway.store.sqlite.new_store import store_at
from waypost.sqlite_files.missing_log import MARK


def mark(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"pragma application_id={MARK}")


async def test_a_store_without_its_log_is_not_backed_up(tmp_path: Path) -> None:
    """The restored store would be refused by the gateway, as this one is."""
    async with store_at(tmp_path / "gateway.db") as store:
        await store.admit(admission("run-1"))
        shutil.copy(tmp_path / "gateway.db", tmp_path / "alone.db")
    with pytest.raises(
        BackupError, match=r"alone\.db-wal is missing, .*put that file back beside alone\.db, or"
    ):
        take_backup(tmp_path / "alone.db", tmp_path / "backup", version="1")
    assert "backup" not in "".join(os.listdir(tmp_path))


@pytest.mark.parametrize("name", ["gateway.db", "link.db"])
async def test_a_backup_of_a_starting_gateway_has_no_mark(tmp_path: Path, name: str) -> None:
    """Taken between the mark and its end; nothing is missing in the copy."""
    (tmp_path / "link.db").symlink_to("gateway.db")
    async with store_at(tmp_path / "gateway.db") as store:
        await store.admit(admission("run-1"))
        mark(tmp_path / "gateway.db")
        take_backup(tmp_path / name, tmp_path / "backup", version="1")
    assert sorted(os.listdir(tmp_path / "backup")) == ["manifest.json", "store.db"]
    restore_backup(tmp_path / "backup", tmp_path / "elsewhere.db", force=False, actor="ada")
    async with store_at(tmp_path / "elsewhere.db") as restored:
        assert await restored.run("run-1") is not None


async def test_a_marked_backup_is_refused(tmp_path: Path) -> None:
    """Whoever made it, with whatever digest."""
    folder = tmp_path / "backup"
    async with store_at(tmp_path / "gateway.db"):
        take_backup(tmp_path / "gateway.db", folder, version="1")
    mark(folder / "store.db")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256((folder / "store.db").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        BackupError, match=r"may not be whole: its store\.db was copied without its write-ahead"
    ):
        restore_backup(folder, tmp_path / "elsewhere.db", force=False, actor="ada")
    assert not (tmp_path / "elsewhere.db").exists()


async def test_a_store_behind_a_link_is_replaced_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link stays; what is kept, the log too, lies beside the file that the link names."""
    monkeypatch.setattr(restoring, "_newest_seal", lambda _: None)
    real, link = tmp_path / "disk" / "gateway.db", tmp_path / "link.db"
    real.parent.mkdir()
    async with store_at(real) as store:
        await store.admit(admission("run-1"))
        take_backup(real, tmp_path / "backup", version="1")
        await store.admit(admission("later"))
    log = real.with_name("gateway.db-wal")
    log.write_bytes(b"a log that cannot be moved into its file")
    link.symlink_to(real)

    done = restore_backup(tmp_path / "backup", link, force=True, actor="ada")
    assert (done.store, link.is_symlink(), log.exists()) == (real, True, False)
    assert done.kept is not None
    assert done.kept.parent == real.parent
    assert sorted(os.listdir(done.kept)) == ["gateway.db", "gateway.db-wal"]
    async with store_at(link) as restored:
        assert (await restored.run("run-1") is not None, await restored.run("later")) == (True, None)


@pytest.mark.parametrize("busy", ["reads", "only open"])
async def test_a_store_that_another_process_has_open_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: str
) -> None:
    """A shell that is left open. SQLite would delete the log of the new store when that is closed."""
    monkeypatch.setattr(restoring, "WAIT_SECONDS", 0.0)
    path = tmp_path / "gateway.db"
    async with store_at(path):
        take_backup(path, tmp_path / "backup", version="1")
    before = path.stat().st_ino
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("begin")
        shell.execute("select * from run").fetchall()
        if busy == "only open":
            shell.execute("commit")
        with pytest.raises(BackupError, match=r"gateway\.db is open in another process: end that first"):
            restore_backup(tmp_path / "backup", path, force=True, actor="ada")
    assert (path.stat().st_ino, sorted(os.listdir(tmp_path))) == (before, ["backup", "gateway.db"])
    restore_backup(tmp_path / "backup", path, force=True, actor="ada")


async def test_what_could_not_be_replaced_has_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that could not be moved into its file is moved away with it, and back where that fails."""
    path = tmp_path / "gateway.db"
    async with store_at(path):
        take_backup(path, tmp_path / "backup", version="1")
    log = tmp_path / "gateway.db-wal"
    log.write_bytes(b"its log")

    def fail(*_: object) -> None:
        raise OSError("the disk is failing")

    monkeypatch.setattr(restoring, "_newest_seal", lambda _: None)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(BackupError, match="was not restored: the disk is failing"):
        restore_backup(tmp_path / "backup", path, force=True, actor="ada")
    assert sorted(os.listdir(tmp_path)) == ["backup", "gateway.db", "gateway.db-wal"]
    assert log.read_bytes() == b"its log"
