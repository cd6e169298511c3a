"""Measures acceptance by a SQLite store alone, beside a backup, and beside retention of many ended runs.

Run it with `python -m bench.retention 100000`: the number of ended runs that are deleted. Latencies are also
given as ratios to those of the store alone.
"""

import asyncio
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from gateway.ended_run_settings import RetentionSettings
from gateway.retention.retention import Retention
from gateway.store.sqlite.backups.backup import take_backup
from gateway.store.sqlite.store import SqliteStore
from observability.metrics import Metrics
from tests.conformance.store_retention import ENDED, ended_run
from tests.conformance.store_values import DAY, admission
from waypost.sqlite_group_commit import Database

COPIED: Final = 20
"""The number of ended runs that are made by the store; all others are copies of their rows."""
TABLES: Final = {"run": "id", "shard": "run", "task_result": "run", "audit": "run", "decision": "id"}
"""The tables whose rows are copied, each with the column that has the run's id in it."""
PAUSE_SECONDS: Final = 0.01
ALONE_SECONDS: Final = 10.0


async def fill(path: Path, runs: int) -> None:
    """Makes a store with about `runs` ended runs of one shard, three tasks, five entries, two decisions."""
    async with SqliteStore(Database(path)) as store:
        for number in range(COPIED):
            await ended_run(store, f"r{number:07}")
    with closing(sqlite3.connect(path)) as db:
        for table in TABLES:
            db.execute(f"create temp table first_{table} as select * from main.{table}")
        for batch in range(1, runs // COPIED):
            for table, key in TABLES.items():
                copy_rows(db, table, key, f"r{batch:05}")
        db.commit()


def copy_rows(db: sqlite3.Connection, table: str, key: str, prefix: str) -> None:
    columns = [row[1] for row in db.execute(f"pragma table_info({table})") if row[1] != "seq"]
    ids = {key, "id", "state", "detail", "decision_id"}
    values = [f"replace({name}, 'r00000', '{prefix}')" if name in ids else name for name in columns]
    db.execute(
        f"insert into main.{table} ({', '.join(columns)}) select {', '.join(values)} from first_{table}"
    )


class Latencies(NamedTuple):
    """How long submissions took, in milliseconds."""

    accepted: int
    p50: float
    p99: float
    worst: float

    def said(self, name: str, beside: "Latencies | None" = None) -> str:
        """Returns them as a sentence, with ratios to `beside`."""
        text = f"{name}: {self.accepted} accepted, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"
        text += f", worst {self.worst:.0f} ms; peak of memory {peak_mebibytes():.0f} MiB"
        if beside is None:
            return text
        ratios = (self.p50 / beside.p50, self.p99 / beside.p99, self.worst / beside.worst)
        return f"{text}; to alone {', '.join(f'{ratio:.2f}' for ratio in ratios)}"


async def accept(store: SqliteStore, name: str, over: Callable[[], bool]) -> Latencies:
    """Submits one run after another until `over`; returns how long they took."""
    took: list[float] = []
    while not over():
        began = time.perf_counter()
        await store.admit(admission(f"{name}-{len(took):07}"))
        took.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(PAUSE_SECONDS)
    took.sort()
    return Latencies(len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


async def accept_alone(store: SqliteStore, name: str) -> Latencies:
    end = time.monotonic() + ALONE_SECONDS
    return await accept(store, name, lambda: time.monotonic() > end)


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(folder: Path, runs: int) -> None:
    path, settings = folder / "gateway.db", RetentionSettings(archive=str(folder / "archive"), runs_days=30)
    await fill(path, runs)
    async with SqliteStore(Database(path)) as store:
        alone = await accept_alone(store, "alone")
        print(alone.said("alone"), flush=True)

        began = time.monotonic()
        backing = asyncio.create_task(asyncio.to_thread(take_backup, path, folder / "backup", version="1"))
        print((await accept(store, "backup", backing.done)).said("backup", alone), flush=True)
        megabytes = (await backing).bytes / 1e6
        print(f"backup of {megabytes:.0f} MB: {time.monotonic() - began:.1f} s")

        retention = Retention(store, settings, Metrics(), clock=lambda: ENDED + 31 * DAY)
        began = time.monotonic()
        passing = asyncio.create_task(retention.make_pass())
        beside = await accept(store, "retention", passing.done)
        done, seconds = await passing, time.monotonic() - began
        print(beside.said("retention", alone), flush=True)
        each = 1000 * seconds / max(1, done.runs)
        print(f"retention of {done.runs} runs, {done.rows} rows: {seconds:.0f} s, {each:.1f} ms a run")
        print((await accept_alone(store, "afterwards")).said("afterwards", alone))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="waypost-retention-") as name:
        asyncio.run(measure(Path(name), int(sys.argv[1])))
