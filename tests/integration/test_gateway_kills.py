"""Tests that every acknowledged run survives a gateway that is killed again and again under load."""

import asyncio
import random
from itertools import count
from typing import Any

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS
from tests.integration.waiting import ended, taking_work

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DOCUMENT: dict[str, Any] = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "small"},
    "spec": {
        "shards": {"count": 2},
        "tasks": [
            {"name": "a", "type": "delay", "run": {"seconds": 0.05}},
            {"name": "b", "type": "delay", "run": {"seconds": 0.05}, "needs": ["a"]},
        ],
    },
}


async def test_what_was_acknowledged_survives_the_gateway(
    stack: Stack, client: httpx.AsyncClient, rounds: int
) -> None:
    """kill -9 at random moments under 20 submissions a second; a repeated key returns its one run."""
    await taking_work(client, REGIONS)
    rng, stop = random.Random(11), asyncio.Event()
    acknowledged: dict[str, str] = {}
    load = asyncio.create_task(submit_all(client, acknowledged, stop))
    for number in range(rounds):
        before = len(acknowledged)
        await asyncio.sleep(rng.uniform(0.3, 1.5))  # the moment of the kill is what is random here
        stack.kill("gateway")
        await stack.processes["gateway"].wait()
        await stack.start_gateway()
        print(f"round {number}: killed after {len(acknowledged) - before} more acknowledged runs")
    stop.set()
    tried = await load
    for key, run in acknowledged.items():
        found = await ended(client, run)
        assert found["phase"] == "Succeeded"
        again = await client.post("/v1/runs", json=DOCUMENT, headers={"idempotency-key": key})
        assert (again.status_code, again.json()["id"]) == (200, run)
    listed = await all_runs(client)
    assert set(acknowledged.values()) <= listed
    assert len(listed) <= len(tried), "there is a run whose key nobody has submitted"
    for key in (
        tried - acknowledged.keys()
    ):  # those whose answer was lost: the same key finds the run, or makes it now
        first, second = [
            await client.post("/v1/runs", json=DOCUMENT, headers={"idempotency-key": key}) for _ in range(2)
        ]
        assert first.is_success
        assert first.json()["id"] == second.json()["id"]
    print(f"{len(acknowledged)} acknowledged of {len(tried)} submitted, all there, all ended")


async def submit_all(
    client: httpx.AsyncClient, acknowledged: dict[str, str], stop: asyncio.Event
) -> set[str]:
    tried: set[str] = set()
    for number in count():
        if stop.is_set():
            return tried
        key = f"key-{number}"
        tried.add(key)
        try:
            answer = await client.post("/v1/runs", json=DOCUMENT, headers={"idempotency-key": key}, timeout=2)
            if answer.is_success:
                acknowledged[key] = answer.json()["id"]
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)  # 20 a second is the load
    return tried


async def all_runs(client: httpx.AsyncClient) -> set[str]:
    found: set[str] = set()
    query: dict[str, Any] = {"limit": 200}
    while True:
        page = (await client.get("/v1/runs", params=query)).json()
        found |= {run["id"] for run in page["items"]}
        if not page["continue"]:
            return found
        query["continue"] = page["continue"]
