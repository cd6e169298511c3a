"""Tests that workspaces are measured beside each other, and that tries end whose workspace is too large."""

import asyncio
import threading
from pathlib import Path

import pytest

from clusters.embedded.executors.process import workspace_bounds
from clusters.embedded.executors.process.workspace_bounds import WorkspaceBounds

BOUND = 1 << 20


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_bounds, "CHECK_SECONDS", 0.01)


async def test_a_workspace_that_takes_long_to_measure_delays_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million files of one tenant must not let the workspace of another grow meanwhile."""
    measured, killed = threading.Event(), asyncio.Event()

    def size_of(folder: Path) -> int:
        if folder.name == "slow":
            measured.wait()
        return 2 * BOUND if folder.name == "quick" else 0

    monkeypatch.setattr(workspace_bounds, "size_of", size_of)
    try:
        async with WorkspaceBounds(BOUND) as bounds, asyncio.timeout(20):
            with (
                bounds.watched(Path("slow"), lambda: None),
                bounds.watched(Path("quick"), killed.set) as found,
            ):
                await killed.wait()
            assert found.reason.startswith("its workspace takes 2 MiB, where 1 MiB are permitted")
    finally:
        measured.set()


async def test_a_workspace_is_measured_again_and_not_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement that takes longer than the pause between checks must not be doubled by the next check."""
    under_way, most, calls = 0, 0, 0
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def size_of(_: Path) -> int:
        nonlocal under_way, most, calls
        under_way += 1
        calls, most = calls + 1, max(most, under_way)
        if calls == 5:
            loop.call_soon_threadsafe(enough.set)
        under_way -= 1
        return 0

    monkeypatch.setattr(workspace_bounds, "size_of", size_of)
    async with WorkspaceBounds(BOUND) as bounds, asyncio.timeout(20):
        with bounds.watched(Path("one"), lambda: None), bounds.watched(Path("one"), lambda: None):
            await enough.wait()
    assert most == 1


async def test_no_bound_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_bounds, "size_of", lambda _: pytest.fail("measured"))
    async with WorkspaceBounds(0) as bounds:
        with bounds.watched(Path("one"), lambda: None) as found:
            await asyncio.sleep(0.05)
    assert found.reason == ""
