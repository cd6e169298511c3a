"""Tests retention where something fails, and what its passes read of the store and in whose turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import Unavailable
from gateway.retention import archive
from gateway.retention.retention import TURN_KEY, Retention
from gateway.store.sqlite.archiving import archived_runs
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_retention import ended_run
from tests.conformance.store_values import DAY
from tests.gateway.retention.test_retention import FailingStore, archived, retention
from tests.gateway.store.sqlite.new_store import store_at
from waypost.cancellation import cancel_and_wait
from waypost.turns import turn_key


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with store_at(tmp_path / "gateway.db") as store:
        yield store


def failures(of: Retention) -> float | None:
    return of._metrics.registry.get_sample_value("waypost_retention_failures_total")


@pytest.mark.parametrize(
    "damage",
    [
        "update run set state = '{' where id = ?",
        "update run set phase = 'Odd' where id = ?",
        "update shard set state = '[]' where run = ?",
        "update task_result set state = '{' where run = ? and task = 'b'",
        "update audit set kind = 'Odd' where run = ? and kind = 'Placed'",
        "update decision set state = '{' where id = 'place-' || ?",
    ],
)
async def test_a_damaged_run_stays_and_the_others_go(tmp_path: Path, store: SqliteStore, damage: str) -> None:
    """Each pass counts it, and nothing of it is deleted."""
    for name in ("run-1", "run-2", "run-3"):
        await ended_run(store, name)
    await store._write(lambda db: db.execute(damage, ("run-2",)))
    looking = retention(store, tmp_path)
    assert (await looking.make_pass()).runs == 2
    assert failures(looking) == 1
    overdue = looking._metrics.registry.get_sample_value("waypost_retention_overdue_seconds")
    assert overdue == pytest.approx(DAY, abs=10)
    assert await store.archived_run("run-2") is None
    tasks = "select count(*) from task_result where run = 'run-2'"
    assert await store._read(lambda db: db.execute(tasks).fetchone()) == (3,)
    assert {line["of"] for line in archived(tmp_path)} >= {"run-1", "run-3"}

    again = await looking.make_pass()
    assert (again.runs, again.files, failures(looking)) == (0, (), 2)
    assert len(list((tmp_path / "archive").iterdir())) == 1, "no file for a run that stays"


async def test_damaged_runs_are_not_in_the_way_of_later_ones(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if they fill a file of the archive: they ended first."""
    monkeypatch.setattr("gateway.retention.retention.FILE_RUNS", 2)
    for number in range(5):
        await ended_run(store, f"run-{number}")
    await store._write(lambda db: db.execute("update run set state = '{' where id < 'run-3'"))
    assert (await retention(store, tmp_path).make_pass()).runs == 2


async def test_a_killed_gateways_half_files_are_removed_at_the_start(
    tmp_path: Path, store: SqliteStore
) -> None:
    """Finished files and those of others stay."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("runs-1.jsonl.gz.partial", "runs-2.jsonl.gz", "note.partial"):
        (folder / name).touch()
    await ended_run(store, "run-1")
    loop = asyncio.create_task(retention(store, tmp_path).run())
    while (found := await store.archived_run("run-1")) is None and not loop.done():
        await asyncio.sleep(0)
    await cancel_and_wait([loop])
    assert found is not None
    assert {path.name for path in folder.iterdir()} == {"note.partial", "runs-2.jsonl.gz", found.file}


def test_the_names_of_new_folders_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after runs were deleted must not take the folder of their records."""
    synced: list[Path] = []
    monkeypatch.setattr(archive, "sync", synced.append)
    file = archive.ArchiveFile(tmp_path / "a" / "b", "runs", at=0.0)
    file.discard()
    assert set(synced) == {tmp_path, tmp_path / "a"}


class OnceFailing:
    """A store whose first list of ended runs fails with `error`; the rest is passed through."""

    def __init__(self, store: SqliteStore, error: Exception) -> None:
        self._store, self._error = store, error
        self.failed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def ended_runs(self, **query: Any) -> Sequence[str]:
        if not self.failed.is_set():
            self.failed.set()
            raise self._error
        return await self._store.ended_runs(**query)


@pytest.mark.parametrize(
    "error", [Unavailable("no answer"), OSError(28, "full"), ValueError("odd"), KeyError("odd")]
)
async def test_the_loop_outlives_a_failed_pass_and_counts_it(
    tmp_path: Path, store: SqliteStore, error: Exception
) -> None:
    """Whatever failed: with the loop the gateway would end, and again at each start."""
    await ended_run(store, "run-1")
    failing = OnceFailing(store, error)
    looking = retention(failing, tmp_path)
    loop = asyncio.create_task(looking.run())
    await failing.failed.wait()
    while await store.archived_run("run-1") is None and not loop.done():
        looking.ask_for_pass()
        await asyncio.sleep(0)
    assert not loop.done()
    assert failures(looking) == 1
    await cancel_and_wait([loop])


async def test_a_pass_counts_no_runs_and_reads_in_a_turn_of_its_own(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads without a key are those of leases and placing, which may wait for nobody."""
    await ended_run(store, "run-1")
    keys = set[str | None]()
    read: Callable[..., Awaitable[Any]] = store._database.read

    async def noting(work: Callable[..., Any]) -> Any:
        keys.add(turn_key.get())
        return await read(work)

    monkeypatch.setattr(store._database, "read", noting)
    looking = retention(FailingStore(store, "retention_counts", after=0), tmp_path)
    loop = asyncio.create_task(looking.run())
    value = looking._metrics.registry.get_sample_value
    while not value("waypost_retention_archived_runs_total") and not loop.done():
        await asyncio.sleep(0)
    async with looking._passing:
        pass  # the pass is over
    await cancel_and_wait([loop])
    assert keys == {TURN_KEY}
    assert not failures(looking)


async def test_archived_runs_are_counted_in_a_small_index(store: SqliteStore) -> None:
    """Their rows have a kilobyte each: to count a million in the table reads a gigabyte."""
    explain = f"explain query plan {archived_runs._COUNTS}"
    plan = await store._read(lambda db: [row[3] for row in db.execute(explain, (0.0,))])
    of_archived = [step for step in plan if "archived_run" in step]
    assert of_archived == ["SCAN archived_run USING COVERING INDEX archived_run_count"]
