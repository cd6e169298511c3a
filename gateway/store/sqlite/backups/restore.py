"""Restores a SQLite store from a backup, while no gateway has it open; what it replaces is kept beside it."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from gateway.core.history import HistoryEntry, HistoryKind, RestoreDetail
from gateway.store.backups import BackupError, Manifest, Restored
from gateway.store.sqlite.backups.manifest import STORE, describe, file_digest, last_seal, read_manifest
from gateway.store.sqlite.backups.restored_mark import mark_restored
from gateway.store.sqlite.schema_migrations import check_known
from waypost.files.permissions import make_private_folder
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_files.lock import FileLock
from waypost.sqlite_files.missing_log import has_log, is_marked, unmark
from waypost.sqlite_files.online_copy import check_whole, open_readonly, sync

LOGS = ("-wal", "-shm")
"""The suffixes of the files that SQLite keeps beside a database."""
WAIT_SECONDS = 5.0
"""The seconds for which a restore waits until no other process has the replaced store open."""


def verify_backup(folder: Path) -> Manifest:
    """Checks that the backup in `folder` is whole, and of a schema that this program knows.

    Returns its manifest. Raises `BackupError`, whose text says what is wrong.
    """
    manifest, copy = read_manifest(folder), folder / STORE
    try:
        if copy.stat().st_size != manifest.bytes or file_digest(copy) != manifest.sha256:
            raise BackupError(f"{folder} is a damaged backup: {STORE} is not the file that was written")
        with closing(open_readonly(copy, alone=True)) as db:
            found = describe(copy, db, made_at=manifest.made_at, version=manifest.waypost)
            check_known(db)
            check_whole(db)
            marked = is_marked(db)
    except StorageError as error:
        raise BackupError(f"{folder} cannot be restored by this version of Waypost: {error}") from error
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{folder} is a damaged backup: {STORE} cannot be read ({error})") from error
    if marked:
        raise BackupError(
            f"{folder} may not be whole: its {STORE} was copied without its write-ahead log, and what was"
            " committed last may be missing: restore another backup"
        )
    if found != manifest:
        raise BackupError(f"{folder} is a damaged backup: its manifest is not that of its {STORE}")
    return manifest


def restore_backup(folder: Path, store: Path, *, force: bool, actor: str) -> Restored:
    """Puts the backup in `folder` in the place of the SQLite file `store`, marked as restored.

    `force` permits that a store is replaced; it is kept in a folder beside it. `actor` is named in the audit
    trail. Raises `BackupError`; then `store` is what it was.
    """
    manifest = verify_backup(folder)
    now = time.time()
    if store.is_symlink():
        # The file itself is replaced: SQLite keeps its log beside that.
        store = Path(os.path.realpath(store))
    new = store.with_name(f".{store.name}.restoring-{os.getpid()}")
    try:
        make_private_folder(store.absolute().parent)
        with _locked(store, force=force) as exists:
            replaced_seal = _newest_seal(store) if exists else None
            _copy(folder / STORE, new)
            _mark(new, manifest, replaced_seal, at=now, actor=actor)
            _give_to_owner_of(store if exists else store.absolute().parent, new)
            kept = _replace(store, new, now) if exists else None
            if not exists:
                # A link fails where somebody has made a store there meanwhile.
                os.link(new, store)
            sync(store.absolute().parent)
    except (OSError, StorageError, sqlite3.Error) as error:
        raise BackupError(f"{store} was not restored: {error}") from error
    finally:
        for suffix in ("", "-journal"):
            Path(f"{new}{suffix}").unlink(missing_ok=True)
    return Restored(store=store, manifest=manifest, kept=kept, replaced_seal=replaced_seal)


@contextmanager
def _locked(store: Path, *, force: bool) -> Iterator[bool]:
    """Holds the lock of the store's file, if there is one; yields whether there is."""
    if not os.path.lexists(store):
        for suffix in LOGS:
            if os.path.lexists(f"{store}{suffix}"):
                raise BackupError(f"{store}{suffix} belongs to a store that is gone: move it away first")
        yield False
        return
    if not force:
        raise BackupError(f"{store} is there already: --force replaces it, and keeps it beside the new one")
    try:
        lock = FileLock(store)
    except StorageError as error:
        raise BackupError(f"{error}: stop the gateway first") from error
    try:
        yield True
    finally:
        lock.release()


def _newest_seal(store: Path) -> int | None:
    """Moves the log of the store that is replaced into its file, and reads its newest seal.

    What is damaged or foreign cannot be read, and is replaced all the same. Raises `BackupError` where
    another process has the store open: SQLite would delete the new store's log when that closes it.
    """
    logged, busy = has_log(store), BackupError(f"{store} is open in another process: end that first")
    try:
        with closing(sqlite3.connect(store, timeout=WAIT_SECONDS, isolation_level=None)) as db:
            db.execute("pragma locking_mode=exclusive")
            if logged:
                unmark(db)
            if db.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
                raise busy
            seal = last_seal(db)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise busy from error
        return None
    except (sqlite3.Error, msgspec.MsgspecError):
        return None
    return None if seal is None else seal.number


def _copy(source: Path, target: Path) -> None:
    with (
        source.open("rb") as reading,
        open(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as writing,
    ):
        shutil.copyfileobj(reading, writing, 1024 * 1024)


def _mark(store: Path, manifest: Manifest, replaced_seal: int | None, *, at: float, actor: str) -> None:
    if file_digest(store) != manifest.sha256:
        raise BackupError(f"what was copied to {store} is not what was read: the disk is failing")
    detail = RestoreDetail(
        backup_made_at=manifest.made_at,
        sha256=manifest.sha256,
        last_seal=manifest.last_seal,
        replaced_seal=replaced_seal,
    )
    entry = HistoryEntry(run="", kind=HistoryKind.BACKUP_RESTORED, at=at, actor=actor, detail=detail)
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("begin immediate")
        mark_restored(db, entry)
        db.execute("commit")
    sync(store)


def _give_to_owner_of(path: Path, new: Path) -> None:
    """Gives the new file to the owner of `path`: root may restore what another account's gateway opens."""
    owner = path.stat()
    if owner.st_uid != new.stat().st_uid and os.geteuid() == 0:
        os.chown(new, owner.st_uid, owner.st_gid)


def _replace(store: Path, new: Path, now: float) -> Path:
    """Puts the file `new` in the place of `store`, which is kept in a new folder beside it; returns that.

    The store's own name goes from the old file to the new one at once. Where that fails, `store` is what it
    was.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    kept = store.with_name(f"{store.name}.replaced-{stamp}")
    kept.mkdir(mode=0o700)
    moved: list[str] = []
    try:
        os.link(store, kept / store.name)
        for name in (f"{store.name}{suffix}" for suffix in LOGS):
            # A log must not stay beside the new file: SQLite would replay it there.
            with suppress(FileNotFoundError):
                os.rename(store.with_name(name), kept / name)
                moved.append(name)
        sync(kept)
        os.replace(new, store)
    except OSError:
        for name in moved:
            os.rename(kept / name, store.with_name(name))
        shutil.rmtree(kept)
        raise
    return kept
