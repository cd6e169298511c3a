"""`SqliteBackups`: backup and restore of the store in one SQLite file."""

from pathlib import Path

from gateway.store.backups import BackupError, Manifest, Restored
from gateway.store.sqlite.backups.backup import take_backup
from gateway.store.sqlite.backups.restore import restore_backup


class SqliteBackups:
    """The backup and the restore of the store in one SQLite file. Implements `Backups`."""

    def __init__(self, path: str) -> None:
        self._store = Path(path)

    def take(self, folder: Path, *, version: str) -> Manifest:
        self._check_file()
        return take_backup(self._store, folder, version=version)

    def restore(self, folder: Path, *, force: bool, actor: str) -> Restored:
        self._check_file()
        return restore_backup(folder, self._store, force=force, actor=actor)

    def _check_file(self) -> None:
        if str(self._store) == ":memory:":
            raise BackupError("the store is in memory: there is no file to copy or to restore")
