"""Keeps notifications in SQLite until they are delivered."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Final

from gateway.core.history import HistoryEntry
from gateway.core.run import Notification, Run, RunPhase
from gateway.store.notifications.fair_claim import ClaimRoom, Lane, choose
from gateway.store.notifications.outbox import Backlog, notifications_of
from gateway.store.sqlite import row_mapping
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.access import SqliteAccess

LANES_AT_ONCE: Final = 1_000
"""The most lanes that one read walks over, in milliseconds: other reads of the process wait no longer."""
BRIEF_CLAIMS: Final = 16
"""The most notifications that are claimed on the event loop's thread, in microseconds each."""
FIRST: Final = Lane(tenant="", host="", tries=-1, due_at=0.0)
"""A lane before all others."""

_ADD: Final = (
    "insert or ignore into notification (id, run, tenant, url, host, phase, at, tries, due_at)"
    " values (?, ?, ?, ?, ?, ?, ?, 0, ?)"
)
# The first row of the next lane: what it costs does not grow with how much waits in one. With `> (?, ?, ?)`
# SQLite 3.40 would step over every row of the lane before.
_NEXT_LANE: Final = (
    "select tenant, host, tries, due_at from notification where (tenant, host, tries) >= (?, ?, ? + 1)"
    " order by tenant, host, tries, due_at limit 1"
)
_DUE: Final = (
    "select id, run, tenant, url, host, phase, at, tries from notification"
    " where tenant = ? and host = ? and tries = ? and due_at <= ? order by due_at, id limit ?"
)
_PUT_OFF: Final = "update notification set tries = ?, due_at = ? where id = ?"
_CLAIM: Final = "update notification set due_at = ? where id = ? and due_at <= ?"
_END: Final = "delete from notification where id = ?"
_BACKLOG: Final = "select count(*), min(due_at) from notification"


class SqliteNotifications(SqliteAccess):
    """Keeps notifications in SQLite until they are delivered. Implements `KeepsNotifications`."""

    async def claim_notifications(
        self, *, now: float, until: float, room: ClaimRoom
    ) -> Sequence[Notification]:
        # Most looks find nothing, and a large outbox takes a while: a read delays no commit.
        lanes = await self._lanes_due(now, without=room.full_hosts())
        if not lanes:
            return ()
        most = room.to_one_host
        found = await self._read(
            lambda db: choose([(lane, _due(db, lane, now, most)) for lane in lanes], room)
        )
        return await self._write(lambda db: _claim(db, found, now, until), brief=len(found) <= BRIEF_CLAIMS)

    async def _lanes_due(self, now: float, *, without: Collection[str]) -> list[Lane]:
        lanes, after = list[Lane](), FIRST
        while passed := await self._read(partial(_lanes, after=after, limit=LANES_AT_ONCE)):
            lanes += [lane for lane in passed if lane.due_at <= now and lane.host not in without]
            after = passed[-1]
        return lanes

    async def notification_backlog(self) -> Backlog:
        waiting, due_at = await self._read(lambda db: db.execute(_BACKLOG).fetchone())
        return Backlog(waiting=waiting, due_at=due_at)

    async def put_off_notification(self, identity: str, *, tries: int, until: float) -> None:
        await self._write(lambda db: db.execute(_PUT_OFF, (tries, until, identity)) and None, brief=True)

    async def end_notification(self, identity: str, *, entry: HistoryEntry) -> None:
        await self._write(lambda db: _end(db, identity, entry), brief=True)


def queue_notifications(db: sqlite3.Connection, run: Run, phase: RunPhase, at: float | None) -> None:
    """Stores the notifications about a run's end; none where it has not ended."""
    for one in notifications_of(run, phase, at or 0.0) if phase.terminal else ():
        row = (one.id, one.run, one.tenant, one.url, one.host, one.phase, one.at, one.at)
        db.execute(_ADD, row)


def _lanes(db: sqlite3.Connection, *, after: Lane, limit: int) -> list[Lane]:
    """Returns the lanes behind `after`, in the order of tenant, host and tries."""
    found = list[Lane]()
    while len(found) < limit and (row := db.execute(_NEXT_LANE, after[:3]).fetchone()) is not None:
        after = Lane(*row)
        found.append(after)
    return found


def _due(db: sqlite3.Connection, lane: Lane, now: float, limit: int) -> Iterator[Notification]:
    """Yields what is due in a lane; reads it when the first is asked for."""
    for row in db.execute(_DUE, (lane.tenant, lane.host, lane.tries, now, limit)).fetchall():
        identity, run, tenant, url, host, phase, at, tries = row
        yield Notification(
            id=identity,
            run=run,
            tenant=tenant,
            url=url,
            host=host,
            phase=RunPhase(phase),
            at=at,
            tries=tries,
        )


def _claim(
    db: sqlite3.Connection, found: Collection[Notification], now: float, until: float
) -> list[Notification]:
    """Makes what was found due again at `until`; returns those of it that nobody has claimed meanwhile."""
    return [one for one in found if db.execute(_CLAIM, (until, one.id, now)).rowcount]


def _end(db: sqlite3.Connection, identity: str, entry: HistoryEntry) -> None:
    db.execute(_END, (identity,))
    # An archived run has no history any more: nobody would read the entry, and nothing delete it.
    if db.execute(sql.RUN_PHASE, (entry.run,)).fetchone() is not None:
        db.execute(sql.INSERT_HISTORY, row_mapping.history_row(entry))
