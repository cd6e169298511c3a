"""Tests backups of a SQLite store: taken while it is written to, verified, refused, and restored."""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.core.history import HistoryKind, RestoreDetail
from gateway.store.acts import ActQuery
from gateway.store.backups import BackupError, Manifest, Restored
from gateway.store.interface import RunQuery
from gateway.store.sqlite.backups.backup import take_backup
from gateway.store.sqlite.backups.restore import restore_backup
from gateway.store.sqlite.store import SqliteStore
from observability.audit import Seal
from tests.conformance.store_values import NOW, admission
from tests.gateway.store.sqlite.new_store import store_at

SEAL = Seal(number=1, before="", at=NOW, entries=((1, "ab"),), signature="s")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with store_at(tmp_path / "gateway.db") as store:
        await store.admit(admission("run-1", idempotency_key="k1"))
        yield store


def backup(tmp_path: Path, name: str = "backup") -> Manifest:
    return take_backup(tmp_path / "gateway.db", tmp_path / name, version="1.2.3")


def restore(tmp_path: Path, to: str = "elsewhere.db", *, force: bool = False) -> Restored:
    return restore_backup(tmp_path / "backup", tmp_path / to, force=force, actor="ada@host")


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def test_a_backup_has_all_that_was_acknowledged_before_it(tmp_path: Path, store: SqliteStore) -> None:
    """Taken in another thread while the store accepts, which goes on meanwhile."""
    acknowledged: list[str] = []

    async def accept() -> None:
        while True:
            name = f"run-{len(acknowledged) + 2:05}"
            await store.admit(admission(name, shards=2))
            acknowledged.append(name)

    accepting = asyncio.create_task(accept())
    while len(acknowledged) < 20:
        await asyncio.sleep(0)
    before = list(acknowledged)
    manifest = await asyncio.to_thread(backup, tmp_path)
    accepting.cancel()

    restore(tmp_path)
    async with store_at(tmp_path / "elsewhere.db") as restored:
        runs = {run.id for run in (await restored.runs(RunQuery(tenants=None, limit=100_000))).runs}
        assert {"run-1", *before} <= runs
        assert runs <= {"run-1", *acknowledged, f"run-{len(acknowledged) + 2:05}"}
        for run in runs - {"run-1"}:
            assert len(await restored.shards(run)) == 2, "none is there by half"
        assert (manifest.rows["run"], restored.identity) == (len(runs), store.identity)


async def test_a_backup_is_private_and_in_two_files(tmp_path: Path, store: SqliteStore) -> None:
    """Without a log beside the copy, without which a copy of the file alone would be an older store."""
    await store.add_seal(SEAL)
    manifest = backup(tmp_path)
    folder = tmp_path / "backup"
    assert sorted(os.listdir(folder)) == ["manifest.json", "store.db"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (manifest.last_seal, manifest.schema) == (
        1,
        json.loads((folder / "manifest.json").read_text())["schema"],
    )
    assert sorted(os.listdir(tmp_path)) == ["backup", "gateway.db", "gateway.db-shm", "gateway.db-wal"]


async def test_a_restored_store_says_so_until_a_gateway_has_dealt_with_it(
    tmp_path: Path, store: SqliteStore
) -> None:
    """By a mark, and for good by an act in the audit trail."""
    assert not await store.is_restored()
    manifest = backup(tmp_path)
    restore(tmp_path)
    async with store_at(tmp_path / "elsewhere.db") as restored:
        assert await restored.is_restored()
        (act,) = (await restored.acts(ActQuery(tenants=None))).entries
        assert (act.kind, act.actor) == (HistoryKind.BACKUP_RESTORED, "ada@host")
        assert act.detail == RestoreDetail(
            backup_made_at=manifest.made_at, sha256=manifest.sha256, last_seal=0, replaced_seal=None
        )
        await restored.end_restore()
        assert not await restored.is_restored()
    async with store_at(tmp_path / "elsewhere.db") as restored:
        assert not await restored.is_restored()


async def test_what_is_replaced_is_kept(tmp_path: Path) -> None:
    """With what only its log held; its newest seal tells how far the trail went that is cut off."""
    async with store_at(tmp_path / "gateway.db") as store:
        backup(tmp_path)
        await store.admit(admission("later"))
        await store.add_seal(SEAL)
        # what a killed gateway leaves, whose log was not moved into the file
        left = {path.name: path.read_bytes() for path in found(tmp_path, "gateway.db*")}
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gateway.db-shm").unlink()

    done = restore(tmp_path, "gateway.db", force=True)
    assert (done.replaced_seal, done.manifest.last_seal) == (1, 0)
    assert done.kept is not None
    async with store_at(done.kept / "gateway.db") as kept, store_at(tmp_path / "gateway.db") as restored:
        assert await kept.run("later") is not None
        assert await restored.run("later") is None
        assert await restored.is_restored()
    assert (tmp_path / "gateway.db").stat().st_mode & 0o777 == 0o600
    assert not found(tmp_path, ".*"), "nothing half done is left"


async def test_a_damaged_store_is_replaced_and_kept(tmp_path: Path) -> None:
    """That is what a backup is for."""
    async with store_at(tmp_path / "gateway.db"):
        backup(tmp_path)
    (tmp_path / "gateway.db").write_bytes(b"no database" * 1000)
    done = restore(tmp_path, "gateway.db", force=True)
    assert done.kept is not None
    assert (done.kept / "gateway.db").read_bytes() == b"no database" * 1000
    async with store_at(tmp_path / "gateway.db") as restored:
        assert await restored.is_restored()


async def test_a_store_in_use_is_not_replaced(tmp_path: Path, store: SqliteStore) -> None:
    """By nothing, and the gateway that uses it notices nothing."""
    backup(tmp_path)
    with pytest.raises(BackupError, match=r"gateway\.db is there already: --force replaces it"):
        restore(tmp_path, "gateway.db")
    with pytest.raises(BackupError, match=r"is in use by another process: .*: stop the gateway first"):
        restore(tmp_path, "gateway.db", force=True)
    await store.admit(admission("run-2"))
    assert await store.run("run-2") is not None


def overwritten(folder: Path) -> None:
    with (folder / "store.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"\x55" * 64)


def cut(folder: Path) -> None:
    os.truncate(folder / "store.db", (folder / "store.db").stat().st_size - 4096)


def change_manifest(**fields: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(found | fields))

    return change


def changed_store(*statements: str) -> Callable[[Path], None]:
    """Changes the store of a backup, and the manifest with it: who made it made it so."""

    def change(folder: Path) -> None:
        path = folder / "store.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)
        path.rename(folder / "other.db")
        (folder / "manifest.json").unlink()
        made = folder.with_name("made")
        take_backup(folder / "other.db", made, version="9.9.9")
        for name in ("store.db", "manifest.json"):
            (made / name).rename(folder / name)

    return change


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (overwritten, r"is a damaged backup: store\.db is not the file that was written"),
        (cut, "is a damaged backup"),
        (lambda folder: (folder / "store.db").unlink(), r"damaged backup: store\.db cannot be read"),
        (
            lambda folder: (folder / "manifest.json").unlink(),
            r"is no backup: its manifest\.json cannot be read",
        ),
        (
            lambda folder: (folder / "manifest.json").write_text("{"),
            r"is no backup: its manifest\.json is not",
        ),
        (
            change_manifest(format="waypost-backup/9"),
            "of another format than waypost-backup/1: 'waypost-backup/9'",
        ),
        (change_manifest(era="x"), r"is a damaged backup: manifest\.json: Expected `int`"),
        (change_manifest(made_at=0.0, era=7), r"its manifest is not that of its store\.db"),
        (
            changed_store("insert into migration values (9999, '9999_next.sql', 'x')"),
            "cannot be restored by this version of Waypost: .* written by a newer version: it has 9999_next",
        ),
    ],
    ids=["overwritten", "cut", "no store", "no manifest", "no JSON", "format", "type", "other", "newer"],
)
async def test_what_is_no_whole_backup_is_refused(
    tmp_path: Path, store: SqliteStore, damage: Callable[[Path], None], why: str
) -> None:
    """In one sentence, before anything is written."""
    backup(tmp_path)
    damage(tmp_path / "backup")
    with pytest.raises(BackupError, match=why) as refused:
        restore(tmp_path)
    assert "\n" not in str(refused.value)
    assert not found(tmp_path, "*elsewhere.db*")


async def test_what_is_no_store_is_not_backed_up(tmp_path: Path, store: SqliteStore) -> None:
    """And nothing is left of the attempt."""
    with pytest.raises(BackupError, match="there is no store at"):
        take_backup(tmp_path / "none.db", tmp_path / "backup", version="1")
    (tmp_path / "text.db").write_text("no database")
    with pytest.raises(BackupError, match="file is not a database"):
        take_backup(tmp_path / "text.db", tmp_path / "backup", version="1")
    sqlite3.connect(tmp_path / "foreign.db").close()
    with pytest.raises(BackupError, match="it is not the store of a gateway"):
        take_backup(tmp_path / "foreign.db", tmp_path / "backup", version="1")
    assert not found(tmp_path, "*backup*")
    backup(tmp_path)
    with pytest.raises(BackupError, match="is there already: each backup is a new folder"):
        backup(tmp_path)


async def test_a_damaged_store_gives_no_backup(tmp_path: Path) -> None:
    """A copy that cannot be restored would be found out too late."""
    async with store_at(tmp_path / "gateway.db") as store:
        for number in range(50):
            await store.admit(admission(f"run-{number}"))
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as db:
        page, size = db.execute("select rootpage from sqlite_schema where name = 'shard'").fetchone()[0], 4096
    with (tmp_path / "gateway.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 512)
    with pytest.raises(BackupError, match="no backup was made"):
        backup(tmp_path)
    assert not found(tmp_path, "*backup*")
