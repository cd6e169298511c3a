"""Tests that notifications which wait from before tenants took turns are still sent, each in its turn."""

import sqlite3
from pathlib import Path

import pytest

from gateway.store.notifications.fair_claim import ClaimRoom
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_values import NOW, admission
from waypost.sqlite_group_commit import Database

BEFORE = """
drop index notification_by_lane;
alter table notification drop column tenant;
alter table notification drop column host;
create index notification_by_due on notification (due_at);
delete from migration where name = '0025_notification_lanes.sql';
"""
INSERT = "insert into notification (id, run, url, phase, at, tries, due_at) values (?, ?, ?, ?, ?, ?, ?)"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Hooks.Example.com/services/T0:1?x=/", "hooks.example.com"),
        ("https://a.test:8443", "a.test"),
        ("https://a.test?x=1/2", "a.test"),
        ("https://a.test#x", "a.test"),
    ],
)
async def test_what_waits_gets_its_host_and_tenant(tmp_path: Path, url: str, host: str) -> None:
    path = tmp_path / "gateway.db"
    async with SqliteStore(Database(path)) as store:
        await store.admit(admission("run-1"))
    with sqlite3.connect(path) as db:
        db.executescript(BEFORE)
        insert = (
            "insert into notification (id, run, url, phase, at, tries, due_at) values (?, ?, ?, ?, ?, ?, ?)"
        )
        db.execute(insert, ("n1", "run-1", url, "Failed", NOW, 1, NOW))
    db.close()
    async with SqliteStore(Database(path)) as store:
        room = ClaimRoom(limit=9, of_one_tenant=9, to_one_host=9)
        (found,) = await store.claim_notifications(now=NOW, until=NOW + 1, room=room)
    assert (found.tenant, found.host, found.url, found.tries) == ("payments", host, url, 1)
