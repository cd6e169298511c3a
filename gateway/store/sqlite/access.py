"""Read and write access to the SQLite database for the parts of the store.

Failures are raised as `Unavailable`.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.core.errors import Unavailable
from gateway.store import rules
from waypost.sqlite_files.errors import StorageError
from waypost.sqlite_group_commit import Database

T = TypeVar("T")


class SqliteAccess:
    """Reads and writes one SQLite database: the base class of the classes that make up the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _write(self, work: Callable[[sqlite3.Connection], T], *, brief: bool = False) -> T:
        try:
            return await self._database.write(work, brief=brief)
        except StorageError as error:
            raise _unavailable(rules.CANNOT_WRITE) from error

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.read(work)
        except StorageError as error:
            raise _unavailable(rules.CANNOT_READ) from error
        except msgspec.MsgspecError as error:
            # A page that was overwritten may leave the structure whole, and no value of ours in it.
            raise _unavailable(f"{rules.CANNOT_READ} (a row is damaged: {error})") from error


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(detail, retry_after_seconds=rules.RETRY_AFTER_SECONDS)
