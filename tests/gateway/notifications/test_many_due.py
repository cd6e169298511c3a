"""Tests that a hundred thousand messages of one tenant, to hosts that hang, delay no other message."""

import sqlite3
from pathlib import Path

from gateway.core.shard_states import Phase
from gateway.store.notifications.fair_claim import ClaimRoom
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_notifications import DOCUMENT
from tests.conformance.store_values import NOW, admission, move
from waypost.sqlite_group_commit import Database

MANY = 100_000
HOSTS = 50
INSERT = (
    "insert into notification (id, run, tenant, url, host, phase, at, tries, due_at)"
    " values (?, 'run', 'flood', 'https://h/', ?, 'Failed', 0, ?, ?)"
)
STEPS = 1_000


async def test_a_hundred_thousand_due_delay_no_other(tmp_path: Path) -> None:
    """Nor does the look grow with them: it goes from host to host, not from row to row."""
    database = Database(tmp_path / "gateway.db")
    async with SqliteStore(database) as store:
        rows = [(f"n{number}", f"h{number % HOSTS}.test", number % 3, number) for number in range(MANY)]
        await database.write(lambda db: db.executemany(INSERT, rows) and None)
        await store.admit(admission("run-1", workflow=DOCUMENT))
        await move(store, "run-1", Phase.FAILED)

        looked = await _steps_of_reads(database)
        room = ClaimRoom(
            limit=16, of_one_tenant=64, to_one_host=8, sending={("flood", f"h{n}.test"): 7 for n in range(8)}
        )
        found = await store.claim_notifications(now=NOW + 10, until=NOW + 30, room=room)
        assert sorted(one.host for one in found if one.tenant == "payments") == ["a.test", "b.test"]
        flood = [one for one in found if one.tenant == "flood"]
        assert len({one.host for one in flood}) == len(flood) == 8  # 56 of its 64 were under way
        assert sum(looked) < 40  # thousands of instructions of SQLite's; rows alone would be 300
        backlog = await store.notification_backlog()
        assert backlog.waiting == MANY + 2


async def _steps_of_reads(database: Database) -> list[int]:
    """Counts, from now on, the thousands of instructions that SQLite executes for reads of this process."""
    looked = list[int]()

    def watch(db: sqlite3.Connection) -> None:
        db.set_progress_handler(lambda: looked.append(1), STEPS)

    await database.read(watch)
    return looked
