"""Tests bad network paths between the gateway and real clusters.

Bounds are asserted in virtual time (test_region_faults); here they are measured.
"""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.dev.faulty_proxy import Mode
from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS, history, noting
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ONE: dict[str, Any] = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "one"},
    "spec": {"tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}]},
}


async def condition(client: httpx.AsyncClient, region: str) -> str:
    found = (await client.get("/v1/regions")).json()["items"]
    return str(next(item["condition"] for item in found if item["name"] == region))


async def test_a_slow_region_loses_new_work_and_keeps_its_own(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Half a second more round trip: new work goes elsewhere, running shards stay (fault 5)."""
    await taking_work(client, REGIONS)
    run = await submitted(
        client,
        noting(tmp_path / "effects", 8.0, "long", shards=3, placement={"avoid": ["shanghai", "shenzhen"]}),
    )

    async def running() -> bool:
        return all(shard["phase"] == "Running" for shard in (await described(client, run))["shards"])

    await until(running)
    stack.proxies["beijing"].delay_seconds += 0.25
    at, last_there = time.monotonic(), 0.0

    async def degraded() -> bool:
        nonlocal last_there
        other = await ended(client, await submitted(client, ONE))
        if other["shards"][0]["region"] == "beijing":
            last_there = time.monotonic() - at
        return await condition(client, "beijing") == "Degraded"

    await until(degraded, seconds=30)
    moved = time.monotonic() - at
    after = Counter(
        [(await ended(client, await submitted(client, ONE)))["shards"][0]["region"] for _ in range(10)]
    )
    found = await ended(client, run)
    print(
        f"+500 ms: degraded after {moved:.1f} s, "
        f"last new work there after {last_there:.1f} s, then {dict(after)}"
    )
    assert after["beijing"] == 0
    assert {(shard["region"], shard["failovers"]) for shard in found["shards"]} == {("beijing", 0)}


async def test_a_region_that_accepts_but_never_answers_is_found_out(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    """A black hole: connections stand, nothing comes through (faults 2 and 9)."""
    await taking_work(client, REGIONS)
    await stack.proxies["shanghai"].switch(Mode.BLACKHOLE)
    at = time.monotonic()

    async def down() -> bool:
        return await condition(client, "shanghai") == "Unreachable"

    await until(down, seconds=30)
    print(f"accepts, never answers: down after {time.monotonic() - at:.1f} s")
    assert await condition(client, "beijing") != "Unreachable", "and it alone"


async def test_a_gateway_that_is_cut_off_moves_nothing(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """All regions lost at once: it is we (fault 16).

    Nothing is reassigned, and when the road is back the work is simply done.
    """
    await taking_work(client, REGIONS)
    run = await submitted(client, noting(tmp_path / "effects", 6.0, "long", shards=6))

    async def running() -> bool:
        return all(shard["phase"] == "Running" for shard in (await described(client, run))["shards"])

    await until(running)
    for proxy in stack.proxies.values():
        await proxy.switch(Mode.CUT)

    async def all_down() -> bool:
        return {await condition(client, region) for region in REGIONS} == {"Unreachable"}

    await until(all_down, seconds=30)
    await asyncio.sleep(12)  # longer than any shard would wait if it were the regions that are lost
    for proxy in stack.proxies.values():
        await proxy.switch(Mode.PASS)
    at = time.monotonic()
    found = await ended(client, run)
    print(f"cut off from all: {found['phase']} {time.monotonic() - at:.1f} s after healing")
    assert found["phase"] == "Succeeded"
    assert [entry for entry in history(stack, run) if entry["kind"] == "Abandoned"] == []
    assert {shard["epoch"] for shard in found["shards"]} == {1}


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL])
async def test_two_regions_that_are_gone_at_once_keep_no_new_work_waiting(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path, sent: signal.Signals
) -> None:
    """Two clusters of three are stopped or killed, and nobody restarts them: the gateway cannot tell whether
    it is its own network, and moves nothing that runs. New work runs in the third, without a person.
    """
    await taking_work(client, REGIONS)
    run = await submitted(client, noting(tmp_path / "effects", 5.0, "long", shards=9))

    async def running() -> bool:
        return all(shard["phase"] == "Running" for shard in (await described(client, run))["shards"])

    await until(running)
    early: list[str] = []

    async def cut_off() -> bool:
        # Before anybody knows that the regions are gone, too.
        early.append(await submitted(client, ONE))
        return bool((await client.get("/v1/regions")).json()["cut_off"])

    for region in ("beijing", "shanghai"):
        stack.processes[region].send_signal(sent)
    try:
        await until(cut_off, seconds=30)
        at = time.monotonic()
        late = [await submitted(client, ONE) for _ in range(10)]
        found = [await ended(client, one, seconds=30) for one in late]
        print(f"{sent.name}: new work done {time.monotonic() - at:.2f} s after, {len(early)} runs before")
        found += [await ended(client, one) for one in early]
        assert {(one["phase"], one["shards"][0]["region"]) for one in found} == {("Succeeded", "shenzhen")}
        held = [shard for shard in (await described(client, run))["shards"] if shard["region"] != "shenzhen"]
        assert {(shard["phase"], shard["epoch"]) for shard in held} == {("Suspect", 1)}
    finally:
        for region in ("beijing", "shanghai"):
            if sent is signal.SIGSTOP:
                stack.processes[region].send_signal(signal.SIGCONT)
            else:
                await stack.start_region(region, port=stack.ready[region]["port"])
    found_again = await ended(client, run)
    assert found_again["phase"] == "Succeeded"
    # Of two that are started again one is back first: then half answer, and what the other has may move.
    if sent is signal.SIGSTOP:
        assert {shard["epoch"] for shard in found_again["shards"]} == {1}
    assert [entry["kind"] for entry in history(stack, "") if not entry["kind"].startswith("Policy")] == []
