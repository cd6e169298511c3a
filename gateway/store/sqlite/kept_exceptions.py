"""Keeps policy exceptions (temporary permissions to break a policy rule) in SQLite."""

import sqlite3
from typing import Final

import msgspec

from gateway.core.history import HistoryEntry
from gateway.core.policy_exception import PolicyException
from gateway.store.exceptions import ExceptionQuery, FoundExceptions
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.transactions import append_history

SCANNED_MAXIMUM: Final = 2_000
"""The maximum number of exceptions scanned for one page, which takes some milliseconds."""

_ONE: Final = "select state from policy_exception where id = ?"
_SCAN: Final = (
    "select id, tenant, state from policy_exception where id < ? and ends_at > ? order by id desc limit ?"
)
_INSERT: Final = (
    "insert or ignore into policy_exception (id, rev, tenant, ends_at, state) values (?, ?, ?, ?, ?)"
)
_SWAP: Final = "update policy_exception set rev = ?, ends_at = ?, state = ? where id = ? and rev = ?"
_FORGET: Final = (
    "delete from policy_exception where id in (select id from policy_exception"
    " where state ->> '$.expires_at' < ? order by state ->> '$.expires_at' limit ?)"
)
_NEWEST: Final = "~"
"""A string that sorts after every exception id."""

_decode = msgspec.json.Decoder(PolicyException).decode


class SqliteExceptions(SqliteAccess):
    """Keeps policy exceptions in SQLite. Implements `KeepsExceptions`."""

    async def exception(self, exception_id: str) -> PolicyException | None:
        row = await self._read(lambda db: db.execute(_ONE, (exception_id,)).fetchone())
        return None if row is None else _decode(row[0])

    async def exceptions(self, query: ExceptionQuery) -> FoundExceptions:
        return await self._read(lambda db: _find(db, query))

    async def write_exception(self, exception: PolicyException, *, entry: HistoryEntry) -> bool:
        return await self._write(lambda db: _write(db, exception, entry))

    async def forget_exceptions(self, *, before: float, limit: int) -> int:
        return await self._write(lambda db: db.execute(_FORGET, (before, limit)).rowcount)


def _find(db: sqlite3.Connection, query: ExceptionQuery) -> FoundExceptions:
    found: list[PolicyException] = []
    scanned, last = 0, query.before or _NEWEST
    ends_after = -1.0 if query.open_at is None else query.open_at
    for exception_id, tenant, state in db.execute(_SCAN, (last, ends_after, SCANNED_MAXIMUM)):
        scanned += 1
        if query.tenants is None or tenant in query.tenants:
            if len(found) == query.limit:
                return FoundExceptions(exceptions=tuple(found), next=found[-1].id)
            found.append(_decode(state))
        last = exception_id
    return FoundExceptions(exceptions=tuple(found), next=last if scanned == SCANNED_MAXIMUM else None)


def _write(db: sqlite3.Connection, exception: PolicyException, entry: HistoryEntry) -> bool:
    state = msgspec.json.encode(exception).decode()
    # What is revoked counts as over at once.
    ends_at = 0.0 if exception.revoked_by else exception.expires_at
    if exception.rev == 1:
        row = (exception.id, exception.rev, exception.tenant, ends_at, state)
        changed = db.execute(_INSERT, row).rowcount
    else:
        swap = (exception.rev, ends_at, state, exception.id, exception.rev - 1)
        changed = db.execute(_SWAP, swap).rowcount
    if changed:
        append_history(db, [entry])
    return bool(changed)
