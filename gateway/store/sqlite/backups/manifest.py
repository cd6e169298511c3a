"""The manifest of a backup: a JSON file beside the copied store that says what it is and has its digest."""

import hashlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.store.backups import BackupError, Manifest
from observability.audit import Seal, seal_digest

FORMAT: Final = "waypost-backup/1"
MANIFEST: Final = "manifest.json"
STORE: Final = "store.db"


def describe(copy: Path, db: sqlite3.Connection, *, made_at: float, version: str) -> Manifest:
    """Returns the manifest of the copied store in the file `copy`, which `db` reads.

    Raises `BackupError` where the file is a SQLite database but no store of a gateway, `OSError` where it
    cannot be read.
    """
    try:
        meta = dict(db.execute("select name, value from meta"))
        schema = db.execute("select name from migration order by number desc limit 1").fetchone()
        identity, era = meta["identity"], int(meta["era"])
        tables = [name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")]
        rows = {name: _count(db, name) for name in tables}
        seal = last_seal(db)
    except (sqlite3.Error, msgspec.MsgspecError, KeyError, ValueError) as error:
        raise BackupError(f"it is not the store of a gateway ({error})") from error
    return Manifest(
        format=FORMAT,
        made_at=made_at,
        waypost=version,
        identity=identity,
        era=era,
        schema="" if schema is None else schema[0],
        bytes=copy.stat().st_size,
        sha256=file_digest(copy),
        rows=dict(sorted(rows.items())),
        last_seal=0 if seal is None else seal.number,
        last_seal_digest="" if seal is None else seal_digest(seal),
    )


def _count(db: sqlite3.Connection, table: str) -> int:
    # The name of a table cannot be a parameter, and the file may be anybody's.
    quoted = table.replace('"', '""')
    return int(db.execute(f'select count(*) from "{quoted}"').fetchone()[0])


def last_seal(db: sqlite3.Connection) -> Seal | None:
    """Reads the newest seal of the audit trail of a store of any version; None if there is none."""
    if db.execute("select 1 from sqlite_schema where name = 'seal'").fetchone() is None:
        return None
    row = db.execute("select state from seal order by number desc limit 1").fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Seal)


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of the backup in `folder`; raises `BackupError` where it is none, or another's."""
    try:
        content = (folder / MANIFEST).read_bytes()
        found: Mapping[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
    except OSError as error:
        raise BackupError(
            f"{folder} is no backup: its {MANIFEST} cannot be read ({error.strerror})"
        ) from error
    except msgspec.MsgspecError as error:
        raise BackupError(f"{folder} is no backup: its {MANIFEST} is not JSON ({error})") from error
    if found.get("format") != FORMAT:
        raise BackupError(f"{folder} is a backup of another format than {FORMAT}: {found.get('format')!r}")
    try:
        return msgspec.convert(found, Manifest)
    except msgspec.ValidationError as error:
        raise BackupError(f"{folder} is a damaged backup: {MANIFEST}: {error}") from error
