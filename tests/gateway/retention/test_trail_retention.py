"""Tests that the oldest part of the audit trail is archived, linked to the rest by a seal, then deleted."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.errors import Unavailable
from gateway.core.history import HistoryKind
from gateway.retention import trail_retention as module
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_decisions import asked
from tests.conformance.store_values import DAY, NOW
from tests.gateway.retention.test_retention import FailingStore
from tests.gateway.retention.trail_world import (
    LATER,
    RUNS,
    accept,
    archive_all,
    fill,
    lines_of,
    live,
    retention,
    sealer,
    verified,
)
from tests.gateway.store.sqlite.new_store import store_at
from waypost.cancellation import cancel_and_wait

LEFT = "select (select count(*) from seal), (select count(*) from audit where run <> 'run-0')"
"""The numbers of seals and of entries in a store, without those of the run that is there still."""
LEFT_AT_THE_END = (2, 3)
"""Entries of the young run, of the archiving, and of a run: its last one was the newest when the run left."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with store_at(tmp_path / "gateway.db") as store:
        await fill(store, tmp_path)
        yield store


async def test_the_old_part_leaves_and_is_one_chain_with_the_rest(tmp_path: Path, store: SqliteStore) -> None:
    """Entry for entry and seal for seal, with the decisions behind them."""
    before, seals = await live(store)
    await store.replace_decision("run-0", decision=asked("unused"))
    await store.record_decision(asked("unused-2"))
    await archive_all(store, store, tmp_path)

    (path,) = (tmp_path / "archive").iterdir()
    assert path.name.startswith("trail-")
    lines = lines_of(path)
    assert [line["entry"] for line in lines if "entry" in line] == before[:RUNS]
    assert [line["seal"]["number"] for line in lines if "seal" in line] == [1, 2, 3, 4, 5, 6]
    own = [(line["decision"]["id"], "document" in line) for line in lines if "decision" in line]
    assert ("unused-2", True) in own
    entries, left = await live(store)
    assert [entry["kind"] for entry in entries] == ["Accepted", "TrailArchived"]
    assert entries[0] == before[RUNS]
    assert left[0] == seals[RUNS]
    assert await store.decision("unused-2") is None
    assert [one.kind for one in await store.history("run-0", limit=1)] == [HistoryKind.ACCEPTED]
    whole = await verified(store, tmp_path)
    assert (whole.sealed, whole.archived) == (RUNS + 2, None)


async def test_nothing_leaves_before_the_entry_about_it_is_sealed(tmp_path: Path, store: SqliteStore) -> None:
    """A sealing that has stopped, since somebody changed the seals, stops the deletion too."""
    before = await live(store)
    passing = retention(store, tmp_path)
    assert (await passing.make_pass()).waits_for_seal
    for _ in range(3):
        done = await passing.make_pass()
        assert (done.waits_for_seal, done.files, done.rows) == (True, (), 0)
    entries, seals = await live(store)
    assert (entries[:-1], seals) == before
    await sealer(store, tmp_path, LATER).seal_all()
    done = await passing.make_pass()
    assert (done.waits_for_seal, done.rows) == (False, RUNS - 1 + RUNS - 1 + RUNS)


async def test_the_next_part_follows_the_first(tmp_path: Path, store: SqliteStore) -> None:
    """Each file is named by an entry that is in the next one, or in the store."""
    await archive_all(store, store, tmp_path)
    later = retention(store, tmp_path, at=LATER + 20 * DAY, audit_days=20.5)
    await store.keep_retention_time(LATER + 20 * DAY)
    assert len((await later.make_pass()).files) == 1
    await sealer(store, tmp_path, LATER + 20 * DAY).seal_all()
    await later.make_pass()
    assert len(list((tmp_path / "archive").iterdir())) == 2
    assert [entry["kind"] for entry in (await live(store))[0]] == ["TrailArchived", "TrailArchived"]
    assert (await verified(store, tmp_path)).sealed == RUNS + 3


async def test_of_too_many_entries_the_oldest_go(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth more than the setting says are there before any goes; a file has a bound."""
    monkeypatch.setattr(module, "FILE_ENTRIES", 40)
    monkeypatch.setattr(module, "SEALS_AT_ONCE", 30)
    for number in range(1_000 - RUNS - 1):
        await accept(store, f"more-{number:04}")
        if number % 10 == 9:
            await sealer(store, tmp_path, LATER).seal_all()
    passing = retention(store, tmp_path, audit_days=None, audit_maximum=1_000)
    assert (await passing.make_pass()).files == ()
    for number in range(110):
        await accept(store, f"last-{number:04}")
    await sealer(store, tmp_path, LATER).seal_all()
    sealed = await store.sealed_entries()
    assert sealed > 1_100
    (name,) = (await passing.make_pass()).files
    gone = sum("entry" in line for line in lines_of(tmp_path / "archive" / name))
    assert sealed - gone <= sealed - 40


async def test_a_large_trail_goes_by_one_file_for_each_seal(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by one for two passes: the next file is written in the pass in which the one before has gone."""
    monkeypatch.setattr(module, "FILE_ENTRIES", 1)
    monkeypatch.setattr(module, "SEALS_AT_ONCE", 1)
    passing = retention(store, tmp_path)
    for _ in range(RUNS):
        assert len((await passing.make_pass()).files) == 1
        await sealer(store, tmp_path, LATER).seal_all()
    assert (await passing.make_pass()).files == ()
    assert (await verified(store, tmp_path)).sealed == RUNS + 1 + RUNS


async def test_an_archive_that_cannot_be_written_leaves_the_trail_as_it_is(
    tmp_path: Path, store: SqliteStore
) -> None:
    """With no word of it in the trail."""
    before = await live(store)
    (tmp_path / "archive").write_text("no folder")
    with pytest.raises(OSError, match="archive"):
        await retention(store, tmp_path).make_pass()
    assert await live(store) == before


@pytest.mark.parametrize(
    ("method", "after"),
    [("trail", 0), ("left_decisions", 0), ("announce_archived_trail", 0), ("purge", 2), ("purge", 3)],
)
async def test_a_pass_that_ends_anywhere_is_made_good(
    tmp_path: Path, store: SqliteStore, method: str, after: int
) -> None:
    """By the next one."""
    failing = FailingStore(store, method, after=after)
    with pytest.raises(Unavailable):
        await archive_all(store, failing, tmp_path)
    await verified(store, tmp_path)
    await archive_all(store, store, tmp_path)
    assert (await verified(store, tmp_path)).sealed == RUNS + 2


async def test_the_loop_waits_for_the_seal_and_not_for_its_pause(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute for each step would be slower than the trail grows."""
    monkeypatch.setattr("gateway.retention.retention.SEAL_SECONDS", 0.0)
    loop = asyncio.create_task(retention(store, tmp_path, pass_seconds=3_600.0).run())
    while (mark := await store.archived_trail()) is None or not mark.deleted:
        assert not loop.done()
        await sealer(store, tmp_path, LATER).seal_all()
    await cancel_and_wait([loop])


async def test_a_clock_that_jumps_at_the_start_makes_nothing_old(tmp_path: Path, store: SqliteStore) -> None:
    """What it seems to make old goes at twice the pace of the clock, so that somebody can see to it."""
    await retention(store, tmp_path, at=NOW + 20 * DAY).make_pass()
    at = NOW + 4_000 * DAY
    jumped = retention(store, tmp_path)
    jumped._time._clock = lambda: at
    assert (await jumped.make_pass()).files == ()
    at += 4 * DAY
    assert (await jumped.make_pass()).files == ()
    at += 4 * DAY
    assert len((await jumped.make_pass()).files) == 1


@pytest.mark.integration
async def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Archive and store are one chain after each kill, and the next process goes on to the same end."""
    origin = tmp_path / "origin"
    origin.mkdir()
    async with store_at(origin / "gateway.db") as store:
        await fill(store, origin)
    step, killed = 0, True
    while killed:
        folder = tmp_path / f"step-{step}"
        shutil.copytree(origin, folder)
        command = [sys.executable, "-m", "tests.gateway.retention.trail_world", str(folder), str(step)]
        ended = await asyncio.to_thread(subprocess.run, command, check=False)
        killed = ended.returncode == -signal.SIGKILL
        assert killed or ended.returncode == 0
        async with store_at(folder / "gateway.db") as store:
            await sealer(store, folder, LATER).seal_all()  # as a gateway does: the newest seal is a day old
            assert (await verified(store, folder)).sealed >= RUNS + 1
            await archive_all(store, store, folder)
            assert (await verified(store, folder)).sealed == RUNS + 2
            assert await store._read(lambda db: db.execute(LEFT).fetchone()) == LEFT_AT_THE_END
        shutil.rmtree(folder)
        step += 1
    assert step > 15, "each call is a step"
