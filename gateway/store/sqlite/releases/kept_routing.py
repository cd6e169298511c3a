"""Keeps routing revisions in SQLite."""

import sqlite3
from typing import Final

import msgspec

from gateway.core.history import HistoryEntry
from gateway.regions.routing import Routing
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite.access import SqliteAccess
from gateway.store.sqlite.transactions import append_history

_READ: Final = "select state from routing"
_INSERT: Final = "insert or ignore into routing (id, rev, state) values (1, ?, ?)"
_SWAP: Final = "update routing set rev = ?, state = ? where rev = ?"

_decode = msgspec.json.Decoder(Routing).decode


class SqliteRouting(SqliteAccess):
    """Keeps the routing revisions of a gateway in SQLite. Implements `KeepsRouting`."""

    async def routing(self) -> Routing:
        row = await self._read(lambda db: db.execute(_READ).fetchone())
        return Routing() if row is None else _decode(row[0])

    async def write_routing(self, routing: Routing, *, entry: HistoryEntry) -> bool:
        return await self._write(lambda db: _write(db, routing, entry))


def _write(db: sqlite3.Connection, routing: Routing, entry: HistoryEntry) -> bool:
    state = row_mapping.to_json(routing)
    if routing.rev == 1:
        changed = db.execute(_INSERT, (routing.rev, state)).rowcount
    else:
        changed = db.execute(_SWAP, (routing.rev, state, routing.rev - 1)).rowcount
    if not changed:
        return False
    append_history(db, [entry])
    return True
