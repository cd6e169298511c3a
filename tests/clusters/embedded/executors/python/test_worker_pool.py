"""Tests how the worker processes of `python` tasks are shared, with processes that are played."""

import asyncio
from collections.abc import Collection
from typing import Any, Self

import pytest

from clusters.embedded.executors.python import worker_pool
from clusters.embedded.executors.python.settings import PythonSettings
from clusters.embedded.executors.python.worker_pool import WorkerPool


class PlayedWorker:
    """Stands for a worker process, and is never worn."""

    usable, calls = True, 0

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    @classmethod
    async def start(cls, tenant: str, *_: Any) -> Self:
        return cls(tenant)

    async def kill(self, _: Collection[bytes]) -> None: ...


async def test_tenants_that_wait_for_a_process_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand calls of one tenant must not keep the one of another waiting."""
    monkeypatch.setattr(worker_pool, "Worker", PlayedWorker)
    served: list[str] = []
    async with WorkerPool(PythonSettings(workers=1), watchdog=None) as pool:  # type: ignore[arg-type]

        async def call(tenant: str) -> None:
            worker = await pool.acquire(tenant)
            served.append(worker.tenant)
            await asyncio.sleep(0)
            await pool.release(worker, ())

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
        await pool.release(held, ())
        async with asyncio.timeout(5):
            assert (await pool.acquire("eve")).tenant == "eve"
