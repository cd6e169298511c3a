"""Tests a task that kills its cluster, with real processes that a supervisor restarts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import QUICK_RETURN, REGIONS, history
from tests.integration.waiting import described, ended, submitted, taking_work

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack without sandboxes: in one no task can kill its cluster."""
    executors = {"process": {"isolation": "none"}}
    async with Stack(tmp_path, REGIONS, settings=QUICK_RETURN, executors=executors) as stack:
        yield stack


@pytest.fixture
async def deaths(stack: Stack) -> AsyncIterator[list[str]]:
    """Restarts each region that ends, as a supervisor would; yields the list of those that ended."""
    noted: list[str] = []

    async def supervise(region: str) -> None:
        while True:
            await stack.processes[region].wait()
            noted.append(region)
            await stack.start_region(region, port=stack.ready[region]["port"])

    supervisors = [asyncio.create_task(supervise(region)) for region in REGIONS]
    yield noted
    for supervisor in supervisors:
        supervisor.cancel()
    await asyncio.gather(*supervisors, return_exceptions=True)


def running(name: str, command: str, *, shards: int) -> dict[str, object]:
    task = {"name": "t", "type": "process", "run": {"command": ["sh", "-c", command]}}
    spec = {"tasks": [task], "shards": {"count": shards}}
    return {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}


def acts_on_regions(stack: Stack) -> list[str]:
    """Returns the kinds of people's acts on regions, such as forgetting one or admitting a journal."""
    return [kind for entry in history(stack, "") if not (kind := entry["kind"]).startswith("Policy")]


KILLS = "kill -9 $PPID"
KILLS_LATER = "sleep 1; kill -9 $PPID"
STOPS = "while :; do sleep 2; kill -STOP $PPID; sleep 12; kill -CONT $PPID; done"
"""A command that stops its region's cluster for most of the time without ending it.

The region never answers for as long as it takes to be reachable again.
"""
FIVE = "5 regions in a row died or fell silent while a task of it ran there"


@pytest.mark.parametrize("command", [KILLS, KILLS_LATER])
async def test_a_task_that_kills_its_cluster_is_quarantined_and_what_runs_beside_it_ends(
    stack: Stack, client: httpx.AsyncClient, deaths: list[str], command: str
) -> None:
    """Within five deaths, and no region needs a person (fault 37)."""
    await taking_work(client, REGIONS)
    beside = await submitted(client, running("bystanders", "sleep 4", shards=12))
    poison = await submitted(client, running("poison", command, shards=1))
    found = await ended(client, poison, seconds=120)
    shard = found["shards"][0]
    print(f"{command!r}: {len(deaths)} deaths, {found['phase']}, {shard['failovers']} failovers")
    assert shard["phase"] == "Quarantined"
    assert shard["reason"] == FIVE
    assert len(deaths) <= 5

    assert (await ended(client, beside, seconds=120))["phase"] == "Succeeded"
    assert {s["phase"] for s in (await described(client, beside))["shards"]} == {"Succeeded"}
    assert acts_on_regions(stack) == []


async def test_poisons_of_all_kinds_at_once_are_quarantined_and_every_region_is_back(
    stack: Stack, client: httpx.AsyncClient, deaths: list[str]
) -> None:
    """Each within five losses; what runs beside them ends, and no region needs a person."""
    await taking_work(client, REGIONS)
    beside = await submitted(client, running("bystanders", "sleep 4", shards=12))
    commands = (KILLS, KILLS_LATER, STOPS)
    poisons = [await submitted(client, running("poison", command, shards=1)) for command in commands]
    shards = [(await ended(client, poison, seconds=300))["shards"][0] for poison in poisons]
    print(f"{len(deaths)} deaths, {[shard['failovers'] for shard in shards]} failovers")
    assert [(shard["phase"], shard["reason"]) for shard in shards] == [("Quarantined", FIVE)] * len(commands)
    # Some took a region with them that another had to answer for, too: never more than its own five.
    assert len(deaths) <= 5 * 2

    assert (await ended(client, beside, seconds=120))["phase"] == "Succeeded"
    await taking_work(client, REGIONS)
    assert acts_on_regions(stack) == []
