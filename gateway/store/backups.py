"""The interface by which the data of a store are backed up and restored, by commands beside the gateway."""

from pathlib import Path
from typing import Protocol

from msgspec import Struct


class BackupError(Exception):
    """Raised where a backup cannot be taken or restored; the text is one sentence that says why."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup is: of which store, from when, with its size and digest."""

    format: str
    """The version of this format: `waypost-backup/1`."""
    made_at: float
    """The time before which everything acknowledged is in the backup, in seconds since 1970."""
    waypost: str
    """The version of Waypost that took the backup."""
    identity: str
    """The id of the store and of all its copies."""
    era: int
    schema: str
    """The name of the newest migration of the store's schema."""
    bytes: int
    """The size of the copied store."""
    sha256: str
    """The SHA-256 of the copied store, in hexadecimal digits."""
    rows: dict[str, int]
    """The number of rows of each table, by the table's name."""
    last_seal: int
    """The number of the newest seal of the audit trail; 0 if there is none."""
    last_seal_digest: str
    """The SHA-256 of that seal, which the next seal contains; empty if there is none."""


class Restored(Struct, frozen=True, kw_only=True):
    """What a restore has done."""

    store: Path
    """The file of the store."""
    manifest: Manifest
    """The manifest of the backup that was restored."""
    kept: Path | None
    """The folder with the store that was replaced; None if there was none."""
    replaced_seal: int | None
    """The number of the newest seal in the store that was replaced.

    None if there was no such store or no seal, or where it could not be read.
    """


class Backups(Protocol):
    """The backup and the restore of one store, whose data are in files of this machine."""

    def take(self, folder: Path, *, version: str) -> Manifest:
        """Copies the store to the new `folder`, while a gateway uses it or not, and verifies the copy.

        The folder appears under its name only when it is complete, verified and durable. `version` is that of
        this program. Raises `BackupError`; then nothing is left.
        """
        ...

    def restore(self, folder: Path, *, force: bool, actor: str) -> Restored:
        """Puts the backup in `folder` in the place of the store, marked as restored.

        `force` permits that a store is replaced, which is kept. `actor` is named in the audit trail. Raises
        `BackupError` for a store in use and for a backup that is damaged, newer or none; then the store is
        what it was.
        """
        ...


class RemembersRestore(Protocol):
    """The interface by which a store knows that it was restored from a backup, until that was dealt with."""

    async def is_restored(self) -> bool:
        """Returns whether `Backups.restore` has made this store, and `end_restore` was not called since.

        A store that is restored by other means may always return False: an operator then says so. Raises
        `Unavailable` where the store cannot answer.
        """
        ...

    async def end_restore(self) -> None:
        """Records that the gateway has begun a new era, and has given up the attempts of the one before."""
        ...
