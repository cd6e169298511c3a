"""Takes a verified backup of a SQLite store, while a gateway runs and accepts or not."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec

from gateway.store.backups import BackupError, Manifest
from gateway.store.sqlite.backups.manifest import MANIFEST, STORE, describe
from waypost.files.permissions import make_private_folder, write_private
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_files.online_copy import check_whole, copy_database, open_readonly, sync


def take_backup(store: Path, folder: Path, *, version: str) -> Manifest:
    """Copies the SQLite file `store` into the new `folder`, verifies the copy, and returns its manifest.

    The folder appears under its name only when it is complete, verified and durable. `version` is that of
    this program. Raises `BackupError`; then nothing is left.
    """
    if not store.is_file():
        raise BackupError(f"there is no store at {store}")
    if os.path.lexists(folder):
        raise BackupError(f"{folder} is there already: each backup is a new folder")
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        make_private_folder(partial)
        manifest = _write(store, partial, version)
        os.rename(partial, folder)
        sync(folder.parent)
    except (OSError, StorageError) as error:
        raise BackupError(f"no backup was made: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _write(store: Path, folder: Path, version: str) -> Manifest:
    made_at, copy = time.time(), folder / STORE
    copy_database(store, copy)
    try:
        with closing(open_readonly(copy, alone=True)) as db:
            check_whole(db)
            manifest = describe(copy, db, made_at=made_at, version=version)
    except (BackupError, StorageError, sqlite3.Error) as error:
        raise BackupError(f"no backup was made of {store}: {error}") from error
    write_private(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    sync(folder / MANIFEST)
    sync(folder)
    return manifest
