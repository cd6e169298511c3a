"""Tests the removal of the files of shards that a cluster has no record of."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from loguru import logger

from clusters.embedded import garbage_collection
from clusters.embedded.garbage_collection import GarbageCollector


class Folder:
    """A stand-in for the state folder, which notes on what threads it is read and emptied."""

    def __init__(self, count: int = 0, *, unreadable: bool = False, left: int = 0) -> None:
        self.count, self.unreadable, self.left = count, unreadable, left
        self.threads = set[threading.Thread]()
        self.moved = list[list[tuple[str, int]]]()

    def shards_on_disk(self) -> set[tuple[str, int]]:
        self.threads.add(threading.current_thread())
        if self.unreadable:
            raise PermissionError(13, "Permission denied", "workspaces")
        return {("run", number) for number in range(self.count)}

    def move_to_trash(self, shards: Iterator[tuple[str, int]]) -> list[OSError]:
        self.moved.append(list(shards))
        return []

    def empty_trash(self, stopped: Callable[[], bool]) -> list[OSError]:
        self.threads.add(threading.current_thread())
        return [PermissionError(1, "Operation not permitted", "file") for _ in range(self.left)]


async def collected(folder: Any, kept: Any = ()) -> None:
    """Runs one collection, with `kept` as the shards that the cluster has records of."""

    async def done() -> None:
        pass

    scheduler: Any = SimpleNamespace(shards=kept, remove_expired=lambda uptime, now: None)
    commits: Any = SimpleNamespace(submit=lambda _: done())
    runner: Any = SimpleNamespace(forget_shards_except=lambda shards: None)
    collector = GarbageCollector(scheduler, commits, folder, runner, uptime=lambda: 0.0)
    running = asyncio.create_task(collector.run())
    await collector.collected.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["message"]))
    yield lines
    logger.remove(sink)


async def test_files_are_looked_for_and_removed_beside_the_event_loop() -> None:
    """A hundred thousand files would hold every call of the gateway up for a second."""
    folder = Folder(count=1)
    await collected(folder)
    assert folder.moved == [[("run", 0)]]
    assert threading.current_thread() not in folder.threads
    assert folder.threads


async def test_shards_with_records_keep_their_files() -> None:
    folder = Folder(count=3)
    await collected(folder, kept={("run", 1)})
    assert sorted(shard for batch in folder.moved for shard in batch) == [("run", 0), ("run", 2)]


async def test_other_tasks_run_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are moved on the event loop."""
    monkeypatch.setattr(garbage_collection, "BATCH", 1)
    folder, seen, over = Folder(count=20), set[int](), asyncio.Event()

    async def look() -> None:
        while not over.is_set():
            seen.add(len(folder.moved))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await collected(folder)
    over.set()
    await looking
    assert set(range(1, 20)) <= seen


async def test_files_that_stay_are_logged(logged: list[str]) -> None:
    """Or a disk fills up without a word."""
    await collected(Folder(left=2))
    (line,) = logged
    assert line.startswith("2 files of forgotten shards stay for now: [Errno 1] Operation not permitted")


async def test_a_folder_that_cannot_be_read_ends_no_clean_up_for_good(logged: list[str]) -> None:
    """The next one is an hour later."""
    folder = Folder(unreadable=True)
    await collected(folder)
    (line,) = logged
    assert line.startswith("files of forgotten shards stay for now: [Errno 13]")
    assert folder.moved == []
