"""Waits for facts by polling, in place of sleeps."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
ENDED = ("Succeeded", "Failed", "Cancelled")


async def until(ask: Callable[[], Awaitable[T | None]], *, seconds: float = 30.0) -> T:
    """Polls until `ask` gives an answer, and returns it. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not (found := await ask()):
            await asyncio.sleep(0.02)
        return found


async def taking_work(client: httpx.AsyncClient, regions: Collection[str]) -> None:
    """Waits until all of `regions` are Healthy."""

    async def healthy() -> bool:
        found = (await client.get("/v1/regions")).json()["items"]
        return all(region["condition"] == "Healthy" for region in found if region["name"] in regions)

    await until(healthy, seconds=60)


async def submitted(client: httpx.AsyncClient, document: dict[str, Any], key: str | None = None) -> str:
    answer = await client.post("/v1/runs", json=document, headers={"idempotency-key": key} if key else {})
    assert answer.is_success, answer.text
    run: str = answer.json()["id"]
    return run


async def described(client: httpx.AsyncClient, run: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/runs/{run}")
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(client: httpx.AsyncClient, run: str, *, seconds: float = 60.0) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        found = await described(client, run)
        return found if found["phase"] in ENDED else None

    return await until(over, seconds=seconds)
