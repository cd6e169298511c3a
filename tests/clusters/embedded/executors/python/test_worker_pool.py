"""Tests how the worker processes of `python` tasks are shared and ended, with processes that are played."""

import asyncio
from typing import Any, Self

import pytest

from clusters.embedded.executors.python import worker_pool
from clusters.embedded.executors.python.settings import PythonSettings
from clusters.embedded.executors.python.worker_pool import WorkerPool
from clusters.embedded.executors.python.worker_process import Worker


class PlayedWorker:
    """Stands for a worker process, and is never worn."""

    usable, calls = True, 0

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    @classmethod
    async def start(cls, tenant: str, *_: Any) -> Self:
        return cls(tenant)

    async def end_leftovers(self) -> None: ...

    async def kill(self) -> None: ...


async def test_tenants_that_wait_for_a_process_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand calls of one tenant must not keep the one of another waiting."""
    monkeypatch.setattr(worker_pool, "Worker", PlayedWorker)
    served: list[str] = []
    async with WorkerPool(PythonSettings(workers=1), watchdog=None) as pool:  # type: ignore[arg-type]

        async def call(tenant: str) -> None:
            worker = await pool.acquire(tenant)
            served.append(worker.tenant)
            await asyncio.sleep(0)
            await pool.release(worker)

        await asyncio.gather(*(call("many") for _ in range(5)), call("few"))
    assert served == ["many", "many", "few", "many", "many", "many"]


async def test_a_call_that_is_cancelled_while_it_waits_takes_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "Worker", PlayedWorker)
    async with WorkerPool(PythonSettings(workers=1), watchdog=None) as pool:  # type: ignore[arg-type]
        held = await pool.acquire("ada")
        waiting = asyncio.create_task(pool.acquire("bob"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await pool.release(held)
        async with asyncio.timeout(5):
            assert (await pool.acquire("eve")).tenant == "eve"


class HeldWorker:
    """A fake worker process that ends when a test lets it."""

    tenant, calls, usable = "ada", 1, True

    def __init__(self) -> None:
        self.killing, self.let, self.killed = asyncio.Event(), asyncio.Event(), False

    async def end_leftovers(self) -> None: ...

    async def kill(self) -> None:
        self.killing.set()
        await self.let.wait()
        self.killed = True


async def pool_with(worker: HeldWorker, monkeypatch: pytest.MonkeyPatch, **settings: float) -> WorkerPool:
    """Returns a pool of at most one process, in which `worker` waits for calls."""

    async def start(*_: object) -> HeldWorker:
        return worker

    monkeypatch.setattr(Worker, "start", start)
    monkeypatch.setattr(worker_pool, "CHECK_SECONDS", 0.001)
    pool = WorkerPool(PythonSettings(workers=1, **settings), None)  # type: ignore[arg-type]
    await pool.release(await pool.acquire("ada"))
    return pool


async def test_a_call_that_is_canceled_while_it_waits_for_a_process_begins_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would run the function of a try that is taken for ended."""
    pool = await pool_with(worker := HeldWorker(), monkeypatch)
    acquiring = asyncio.create_task(pool.acquire("bob"))
    await worker.killing.wait()
    acquiring.cancel()
    worker.let.set()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    assert worker.killed
    assert await pool.acquire("ada")  # its place is free


async def test_a_pool_that_is_closed_while_it_ends_an_idle_process_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cluster that is to stop would wait for ever."""
    pool = await pool_with(worker := HeldWorker(), monkeypatch, idle_seconds=0.001)
    await pool.__aenter__()
    await worker.killing.wait()
    closing = asyncio.create_task(pool.__aexit__())
    await asyncio.sleep(0)
    worker.let.set()
    async with asyncio.timeout(20):
        await closing
    assert worker.killed
