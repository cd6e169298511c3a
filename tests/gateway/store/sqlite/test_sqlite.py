"""Tests the SQLite store: the conformance suite, and damage to its file."""

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.core.errors import Unavailable
from gateway.core.history import ACTS
from gateway.store.interface import RunQuery, ShardWrite, Store, StoreUnusable
from gateway.store.sqlite import run_queries, transactions
from gateway.store.sqlite import sql_statements as sql
from gateway.store.sqlite.run_queries import run_scan
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store import StoreConformance
from tests.conformance.store_values import Open, admission
from tests.gateway.store.sqlite.new_store import store_at
from waypost.sqlite_group_commit import Database

ROOT = Path(__file__).parents[4]

ACCEPTING = """
import asyncio, itertools, sys
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_values import admission
from waypost.sqlite_group_commit import Database

async def accept(store, numbers):
    for number in numbers:
        admitted = await store.admit(admission(f"run-{number:06}", shards=2, idempotency_key=f"key-{number}"))
        print(admitted.run.id, flush=True)

async def main():
    async with SqliteStore(Database(sys.argv[1])) as store:
        numbers = itertools.count()
        await asyncio.gather(*(accept(store, numbers) for _ in range(8)))

asyncio.run(main())
"""


@pytest.fixture
def open_store(tmp_path: Path) -> Open:
    return lambda: store_at(tmp_path / "gateway.db")


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[Store]:
    async with open_store() as store:
        yield store


class TestSqliteStore(StoreConformance):
    """The whole conformance suite on a SQLite file."""


@pytest.mark.integration
async def test_every_acknowledged_run_outlives_a_kill(tmp_path: Path, open_store: Open) -> None:
    """SIGKILL among eight submitters: every acknowledged run is there, and none is there by half."""
    with subprocess.Popen(
        [sys.executable, "-c", ACCEPTING, str(tmp_path / "gateway.db")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().splitlines()[:-1]
    async with open_store() as store:
        runs = {run.id: run for run in (await store.runs(RunQuery(tenants=None, limit=100_000))).runs}
        assert set(acknowledged) <= set(runs)
        for run_id in runs:
            assert (len(await store.shards(run_id)), len(await store.history(run_id))) == (2, 1)


async def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    """Nothing is written by half; when there is room again it goes on."""
    database = Database(tmp_path / "gateway.db")
    async with SqliteStore(database) as store:
        await store.admit(admission("run-0"))
        pages = await database.write(lambda db: db.execute("pragma page_count").fetchone()[0])
        await database.write(lambda db: db.execute(f"pragma max_page_count = {pages}").fetchone())
        with pytest.raises(Unavailable) as refused:
            await store.admit(admission("run-1", workflow=b"x" * 100_000))
        assert refused.value.retry_after_seconds
        assert [run.id for run in (await store.runs(RunQuery(tenants=None))).runs] == ["run-0"]

        await database.write(lambda db: db.execute(f"pragma max_page_count = {pages + 1000}").fetchone())
        await store.admit(admission("run-1", workflow=b"x" * 100_000))
        assert len((await store.runs(RunQuery(tenants=None))).runs) == 2


async def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path, open_store: Open) -> None:
    """An older program does not know what the newer one promised."""
    async with open_store():
        pass
    with sqlite3.connect(tmp_path / "gateway.db") as db:
        db.execute("insert into migration values (9999, '9999_later.sql', '')")
    with pytest.raises(StoreUnusable, match=r"newer version: it has 9999_later\.sql"):
        await open_store().__aenter__()


async def test_a_store_copied_without_its_log_is_refused(tmp_path: Path) -> None:
    """A young one opened as an empty one, which gave the clusters another gateway to obey."""
    for number in range(2):
        async with SqliteStore(Database(tmp_path / "new.db")):
            shutil.copy(tmp_path / "new.db", tmp_path / f"{number}.db")

    for number in range(2):
        with pytest.raises(StoreUnusable, match=f"{number}.db-wal is missing"):
            await SqliteStore(Database(tmp_path / f"{number}.db")).__aenter__()


async def test_a_changed_migration_is_refused(tmp_path: Path, open_store: Open) -> None:
    """What was applied is not what the program believes."""
    async with open_store():
        pass
    with sqlite3.connect(tmp_path / "gateway.db") as db:
        db.execute("update migration set checksum = 'other'")
    with pytest.raises(StoreUnusable, match="is not the one"):
        await open_store().__aenter__()


HOT: dict[str, tuple[str, Any]] = {
    "pending": (sql.PENDING_SHARDS, ("payments", 0, "[]", 9, 0, 0)),
    "overdue": (sql.OVERDUE_SHARDS, ("payments", 0, 9)),
    "cancelled": (sql.SHARDS_TO_CANCEL, ("payments", 9)),
    "clock": (sql.MOVE_DEADLINES, {"step": 1.0}),
    "working": (sql.ACTIVE_SHARDS, ()),
    "counts": (sql.COUNT_SHARDS, ()),
    "swap": (sql.SWAP_SHARD, ("Running", 1, 0, 0, "", "run-1", 0, 0)),
    "history": (sql.HISTORY, ("run-1", 0, 9)),
    "a tenant's runs": run_scan(RunQuery(tenants=("payments",), limit=9))[:2],
    "those in a phase": run_scan(RunQuery(tenants=("payments",), phase="Failed", after="x"))[:2],
    "those with a label": run_scan(RunQuery(tenants=("payments",), labels={"a": "b", "c": "d"}))[:2],
}


async def test_a_runs_phase_costs_a_step_for_each_phase(tmp_path: Path) -> None:
    """A count of a million shards took half a second of every commit."""
    database = Database(tmp_path / "gateway.db")
    async with SqliteStore(database):
        plan = await database.read(
            lambda db: db.execute(f"explain query plan {sql.PHASES_OF_RUN}", ("run-1",)).fetchall()
        )
    of_shards = [row[3] for row in plan if "shard" in row[3]]
    assert of_shards == [
        "SEARCH shard USING PRIMARY KEY (run=?)",
        "SEARCH shard USING COVERING INDEX shard_by_phase (phase=? AND tenant=? AND priority=? AND run=?)",
    ]


@pytest.mark.parametrize("name", HOT)
async def test_no_hot_statement_walks_a_whole_table(tmp_path: Path, name: str) -> None:
    """A million finished shards must cost nothing on a pass."""
    database = Database(tmp_path / "gateway.db")
    statement, parameters = HOT[name]
    async with SqliteStore(database):
        plan = await database.read(
            lambda db: db.execute(f"explain query plan {statement}", parameters).fetchall()
        )
    steps = [row[3] for row in plan]
    assert steps
    # What is waiting is a bounded selection.
    steps.remove("SCAN waiting") if name == "pending" else None
    assert not [step for step in steps if step.startswith("SCAN") and "INDEX" not in step], steps


async def test_a_filter_that_finds_little_reads_a_bounded_part(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page without a run says where to go on, instead of reading a million runs."""
    monkeypatch.setattr(run_queries, "SCANNED_MAXIMUM", 5)
    async with open_store() as store:
        for n in range(12):
            await store.admit(admission(f"run-{n:02}", labels={"n": str(n)}))
        query, pages = RunQuery(tenants=None, labels={"n": "1"}, limit=2), list[list[str]]()
        while True:
            page = await store.runs(query)
            pages.append([run.id for run in page.runs])
            if page.next is None:
                break
            query = structs.replace(query, after=page.next)

    assert pages == [[], [], ["run-01"]]


async def test_a_list_reads_no_document(open_store: Open) -> None:
    """They may be a megabyte each, and a list has hundreds of runs."""
    read = set[tuple[str | None, str | None]]()

    def note(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add((table, column))
        return sqlite3.SQLITE_OK

    database = Database(":memory:", inline=True)
    async with SqliteStore(database) as store:
        await store.admit(admission("run-1", labels={"n": "1"}))
        await database.write(lambda db: db.set_authorizer(note))
        for labels in ({}, {"n": "1"}):
            (found,) = (await store.runs(RunQuery(tenants=None, labels=labels))).runs
            assert (found.id, found.workflow) == ("run-1", b"")

    assert ("run", "state") in read
    assert ("run", "workflow") not in read


async def test_a_commit_outlives_the_power(tmp_path: Path) -> None:
    """A power cut cannot be tried here, but the setting can be read: only FULL syncs at every commit."""
    database = Database(tmp_path / "gateway.db")
    async with SqliteStore(database):
        settings = await database.write(
            lambda db: [
                db.execute(f"pragma {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
            ]
        )
    assert settings == [2, "wal"]


async def test_a_short_record_is_written_where_acceptances_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the writer's thread each of its rows waits for the interpreter's lock, and acceptances behind it.

    A long one keeps off the event loop.
    """
    threads = []
    monkeypatch.setattr(
        transactions,
        "record",
        lambda *_: threads.append(threading.get_ident()) or [True],  # type: ignore[func-returns-value]
    )
    shard = admission("run-1").shards[0]
    async with store_at(tmp_path / "store.db") as store:
        await store.record([ShardWrite(shard=shard)], {})
        await store.record([ShardWrite(shard=shard)] * 200, {})

    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False]


@pytest.mark.parametrize(
    "statement", [sql.INSERT_RUN, sql.INSERT_SHARD, sql.INSERT_LABEL, sql.INSERT_HISTORY]
)
async def test_no_insert_makes_a_table_for_the_condition_of_an_index(
    tmp_path: Path, open_store: Open, statement: str
) -> None:
    """SQLite makes one for `in` with several values, each time that the condition is looked at."""
    async with open_store():
        pass
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as db:
        steps = {step[1] for step in db.execute(f"explain {statement}", ("",) * statement.count("?"))}
    assert {"IdxInsert", "OpenEphemeral"} & steps == {"IdxInsert"}


async def test_the_index_of_acts_has_every_kind_of_act(tmp_path: Path, open_store: Open) -> None:
    """A kind that joins `ACTS` needs a migration that makes `audit_of_acts` anew, or no act is found."""
    async with open_store():
        pass
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as db:
        ((statement,),) = db.execute("select sql from sqlite_master where name = 'audit_of_acts'")
    assert re.findall(r"'(\w+)'", statement) == [kind.value for kind in ACTS]
