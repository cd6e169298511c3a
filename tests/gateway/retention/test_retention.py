"""Tests passes of retention over a SQLite store: the archive, what is deleted, and failures in between."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.errors import Unavailable
from gateway.core.run import Run
from gateway.core.shard_states import Phase
from gateway.ended_run_settings import RetentionSettings
from gateway.retention import retention as module
from gateway.retention.retention import Retention
from gateway.retention.run_records import record_lines, run_lines
from gateway.store.retention import ArchivedRun
from gateway.store.sqlite.store import SqliteStore
from observability.metrics import Metrics
from tests.conformance.store_retention import ENDED, ended_run
from tests.conformance.store_values import DAY, admission
from tests.gateway.store.sqlite.new_store import store_at


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with store_at(tmp_path / "gateway.db") as store:
        yield store


def retention(store: Any, tmp_path: Path, *, days_later: float = 31, **settings: Any) -> Retention:
    given = RetentionSettings(archive=str(tmp_path / "archive"), **{"runs_days": 30} | settings)
    return Retention(store, given, Metrics(), clock=lambda: ENDED + days_later * DAY)


def archived(tmp_path: Path) -> list[dict[str, Any]]:
    """Returns the lines of all files of the archive."""
    return [
        msgspec.json.decode(line)
        for path in sorted((tmp_path / "archive").iterdir())
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


async def test_the_archive_has_everything_that_is_deleted(tmp_path: Path, store: SqliteStore) -> None:
    """Each line says of which run it is."""
    await ended_run(store, "run-1", shards=2)
    await ended_run(store, "run-2")
    await store.admit(admission("run-3"))
    history = await store.history("run-1")
    done = await retention(store, tmp_path).make_pass()
    assert (done.runs, len(done.files)) == (2, 1)

    lines = [line for line in archived(tmp_path) if line["of"] == "run-1"]
    names = [name for line in lines for name in line if name != "of"]
    assert {name: names.count(name) for name in names} == {
        "run": 1,
        "document": 1,
        "shard": 2,
        "task": 6,
        "history": len(history),
        "decision": 2,
    }
    assert [line["history"]["seq"] for line in lines if "history" in line] == [each.seq for each in history]
    assert await store.run("run-1") is None
    assert await store.run("run-3") is not None
    found = await store.archived_run("run-1")
    assert found is not None
    assert found.file == done.files[0]
    (path,) = (tmp_path / "archive").iterdir()
    assert path.name == found.file
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_nothing_is_done_before_its_time(tmp_path: Path, store: SqliteStore) -> None:
    """Nor is an empty file written."""
    await ended_run(store, "run-1")
    done = await retention(store, tmp_path, days_later=29).make_pass()
    assert (done.runs, done.rows, done.files) == (0, 0, ())
    assert await store.run("run-1") is not None
    assert not (tmp_path / "archive").exists()


async def test_of_too_many_the_first_to_end_go(tmp_path: Path, store: SqliteStore) -> None:
    """And as many as the setting says stay."""
    for number in range(5):
        await ended_run(store, f"run-{number}")
    later = "update run set finished_at = finished_at + cast(substr(id, 5) as real)"
    await store._write(lambda db: db.execute(later))
    assert (await retention(store, tmp_path, runs_days=None, runs_maximum=5).make_pass()).runs == 0
    assert (await retention(store, tmp_path, runs_days=None, runs_maximum=2).make_pass()).runs == 3
    assert await store.ended_runs(before=ENDED + 9, limit=9) == ["run-3", "run-4"]


async def test_no_run_goes_without_a_durable_record(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the archive is full: nothing is deleted, no half file is left, and later it goes on."""
    await ended_run(store, "run-1")
    looking = retention(store, tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        await looking.make_pass()
    monkeypatch.undo()
    assert await store.run("run-1") is not None
    assert archived(tmp_path) == []
    assert (await looking.make_pass()).runs == 1


class FailingStore:
    """A store that fails after some calls of one of its methods; the rest is passed through."""

    def __init__(self, store: SqliteStore, method: str, *, after: int) -> None:
        self._store, self._method, self._left = store, method, after

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._left -= 1
            if self._left < 0:
                raise Unavailable("the store does not answer now")
        return getattr(self._store, name)


@pytest.mark.parametrize(
    ("method", "after"),
    [("ended_runs", 0), ("small_records", 0), ("archive_runs", 0), ("purge", 1), ("purge", 3)],
)
async def test_a_pass_that_ends_anywhere_is_made_good_by_the_next(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, method: str, after: int
) -> None:
    """Each run is whole in the store, or its whole record is in the archive that it names."""
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    runs = [await ended_run(store, f"run-{number}") for number in range(3)]
    with pytest.raises(Unavailable):
        await retention(FailingStore(store, method, after=after), tmp_path).make_pass()
    for run in runs:
        await check_whole(store, tmp_path, run)
    await retention(store, tmp_path).make_pass()
    for run in runs:
        assert await store.run(run.id) is None
        assert await store.tasks(run.id) == []
        await check_whole(store, tmp_path, run)


async def check_whole(store: SqliteStore, tmp_path: Path, run: Run) -> None:
    found = await store.archived_run(run.id)
    if found is None:
        assert await store.run(run.id) == run
        assert len(await store.tasks(run.id)) == 3
        return
    content = gzip.decompress((tmp_path / "archive" / found.file).read_bytes()).splitlines()
    lines = [msgspec.json.decode(line) for line in content]
    assert sum("task" in line for line in lines if line["of"] == run.id) == 3


async def test_a_run_that_is_retried_meanwhile_stays(tmp_path: Path, store: SqliteStore) -> None:
    """Its line in the archive is one too many, and harms nobody."""
    run = await ended_run(store, "run-1", phase=Phase.FAILED)

    class Reopened(FailingStore):
        async def archive_runs(self, archived: Sequence[ArchivedRun]) -> Sequence[bool]:
            return [False for _ in archived]

    done = await retention(Reopened(store, "", after=0), tmp_path).make_pass()
    assert done.runs == 0
    assert await store.run("run-1") == run


async def test_acceptance_goes_on_while_runs_are_deleted(tmp_path: Path, store: SqliteStore) -> None:
    """Many small writes, between which others come: no submission waits for a pass to end."""
    for number in range(40):
        await ended_run(store, f"run-{number:02}")
    passing = asyncio.create_task(retention(store, tmp_path).make_pass())
    accepted = 0
    while not passing.done():
        await store.admit(admission(f"new-{accepted:05}"))
        accepted += 1
    assert (await passing).runs == 40
    assert accepted >= 20, "several between any two writes of the pass"


async def test_runs_with_large_documents_are_taken_out_one_at_a_time(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To free the pages of twenty documents of megabytes in one commit holds acceptance up."""
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 3_000)
    for number in range(4):
        await ended_run(store, f"run-{number}")
    larger = "update run set workflow = cast(json_object('a', printf('%.*c', 2000, 'x')) as blob)"
    await store._write(lambda db: db.execute(larger))
    groups = list[int]()

    class Counting(FailingStore):
        async def archive_runs(self, archived: Sequence[ArchivedRun]) -> Sequence[bool]:
            groups.append(len(archived))
            return await self._store.archive_runs(archived)

    assert (await retention(Counting(store, "", after=0), tmp_path).make_pass()).runs == 4
    assert groups == [1, 1, 1, 1]


async def test_a_clock_that_jumps_at_the_start_archives_nothing(tmp_path: Path, store: SqliteStore) -> None:
    """A machine that starts years ahead, with the store of yesterday."""
    await ended_run(store, "run-1")
    await retention(store, tmp_path, days_later=1).make_pass()
    assert (await retention(store, tmp_path, days_later=4_000).make_pass()).runs == 0
    assert await retention(store, tmp_path, days_later=4_000).seconds_behind() == 3_999 * DAY


async def test_where_old_runs_are_is_forgotten_if_a_setting_says_so(
    tmp_path: Path, store: SqliteStore
) -> None:
    """Their rows would be there for good."""
    await ended_run(store, "run-1")
    assert (await retention(store, tmp_path, archived_days=400).make_pass()).runs == 1
    await store.keep_retention_time(ENDED + 432 * DAY)
    await retention(store, tmp_path, days_later=432).make_pass()
    assert await store.archived_run("run-1") is not None
    await retention(store, tmp_path, days_later=432, archived_days=400).make_pass()
    assert await store.archived_run("run-1") is None


async def test_small_and_large_runs_have_the_same_record(tmp_path: Path, store: SqliteStore) -> None:
    """Small ones are read many with one call, large ones in parts; each is one or the other."""
    run = await ended_run(store, "run-1", shards=3)
    await ended_run(store, "run-2", shards=2)
    parts = [line async for lines in run_lines(store, run) for line in lines]
    (small,) = await store.small_records(["run-1"], maximum_bytes=1_000_000)
    assert list(record_lines(small)) == parts
    assert await store.small_records(["run-1"], maximum_bytes=100) == []

    longer = (
        "insert into audit (run, kind, at, actor, detail) select run, kind, at, actor, detail from audit, "
    )
    longer += "(with recursive n(n) as (select 1 union all select n + 1 from n where n < 99) select n from n)"
    await store._write(lambda db: db.execute(longer + " where run = 'run-1' and kind = 'Intended'"))
    found = await store.small_records(["run-1", "run-2", "run-3"], maximum_bytes=1_000_000)
    assert [record.run.id for record in found] == ["run-2"]
    assert (await retention(store, tmp_path).make_pass()).runs == 2
    entries = [line for line in archived(tmp_path) if "history" in line and line["of"] == "run-1"]
    assert len(entries) > 290
