"""Tests a wall clock that was set while no gateway ran, and what the log says of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from loguru import logger

from gateway import steady_clock
from gateway.app import compose
from gateway.clock_at_start import correct_clocks
from gateway.core.errors import Unavailable
from gateway.settings import GatewaySettings, Secret
from gateway.steady_clock import steady_time
from gateway.store.interface import StoreUnusable
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_values import admission, known
from waypost.sqlite_group_commit import Database


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_clock, "_offset", steady_clock._offset)


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        yield store


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(found.append, format="{message}", level="WARNING")
    yield found
    logger.remove(sink)


async def test_a_clock_set_forward_ends_no_run(store: SqliteStore, lines: list[str]) -> None:
    """A gateway was away for two seconds, the clock was set forward by an hour: that is no downtime."""
    await correct_clocks(store)
    accepted = steady_time() - 20.0
    await store.admit(admission("run-1", created_at=accepted, deadline_at=accepted + 60.0))
    await correct_clocks(store)
    assert lines == []
    steady_clock.set_forward(3600.0)
    await correct_clocks(store)
    deadline = (await known(store, "run-1")).deadline_at
    assert deadline is not None and deadline - steady_time() == pytest.approx(40.0, abs=1.0)
    (line,) = lines
    assert "the wall clock was set by +3600.0 s since a gateway was started" in line
    assert "deadlines of open runs are moved by as much" in line


async def test_a_clock_set_back_leaves_order_and_deadlines(store: SqliteStore, lines: list[str]) -> None:
    """The next run is newer than the newest; what was left of a deadline is left of it still."""
    await correct_clocks(store)
    accepted = steady_time() - 20.0
    await store.admit(admission("run-1", created_at=accepted, deadline_at=accepted + 60.0))
    left = accepted + 60.0 - steady_time()
    steady_clock.set_forward(-3600.0)
    await correct_clocks(store)
    deadline = (await known(store, "run-1")).deadline_at
    assert steady_time() >= accepted
    assert deadline is not None and deadline - steady_time() == pytest.approx(left, abs=1.0)
    assert "the wall clock was set back to 3580" in lines[0]
    assert len(lines) == 2


async def test_time_without_a_step_is_downtime(store: SqliteStore, lines: list[str]) -> None:
    """A deadline counts on while no gateway runs, and over a reboot, which may take long."""
    accepted = steady_time()
    await correct_clocks(store)
    await store.admit(admission("run-1", created_at=accepted, deadline_at=accepted + 60.0))
    await store.correct_times(steady_clock.MachineBoot(id="an earlier boot", at=1.0))
    await correct_clocks(store)
    assert ((await known(store, "run-1")).deadline_at, lines) == (accepted + 60.0, [])


async def test_a_gateway_that_cannot_store_the_time_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a gateway that starts has done it before it takes its first run."""
    borne = []

    async def bear(store: SqliteStore, boot: steady_clock.MachineBoot) -> float:
        borne.append(boot.id)
        raise Unavailable("the disk is full")

    monkeypatch.setattr(SqliteStore, "correct_times", bear)
    with pytest.raises(StoreUnusable, match="cannot be told the time: the disk is full"):
        async with compose(GatewaySettings(store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"))):
            pass
    assert len(borne) == 1
