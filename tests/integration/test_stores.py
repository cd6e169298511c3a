"""Tests gateways on another store than the clusters know, or on an older copy of it.

Real processes.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS, effects, history, noting, rows
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def conditions(client: httpx.AsyncClient) -> dict[str, str]:
    return {region["name"]: region["reason"] for region in (await client.get("/v1/regions")).json()["items"]}


async def test_a_gateway_with_another_store_ends_nothing(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Its database was lost, or somebody has started a second one with the same certificates: it is not
    listened to, and says so.
    """
    await taking_work(client, REGIONS)
    run = await submitted(client, noting(tmp_path / "effects", 6.0, "long", shards=6))

    async def running() -> bool:
        return all(shard["phase"] == "Running" for shard in (await described(client, run))["shards"])

    await until(running)
    stack.kill("gateway")
    await stack.processes["gateway"].wait()
    database = stack.state / "gateway.db"
    for suffix in ("", "-wal", "-shm"):
        shutil.move(f"{database}{suffix}", f"{database}.aside{suffix}")
    await stack.start_gateway()

    async def told() -> bool:
        return all("OtherGateway" in reason for reason in (await conditions(client)).values())

    await until(told)
    stack.kill("gateway")
    await stack.processes["gateway"].wait()
    for suffix in ("", "-wal", "-shm"):
        shutil.move(f"{database}.aside{suffix}", f"{database}{suffix}")
    await stack.start_gateway()
    found = await ended(client, run)
    assert found["phase"] == "Succeeded"
    assert {shard["epoch"] for shard in found["shards"]} == {1}


async def test_a_restored_store_finishes_what_it_knows(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """From a copy that was made while it ran: what the copy takes for running is run again, under epochs of a
    new era.
    """
    await taking_work(client, REGIONS)
    log = tmp_path / "effects"
    run = await submitted(client, noting(log, 0.5, "one", "two", "three", shards=4))

    async def begun() -> bool:
        tasks = (await described(client, run))["tasks"]
        return [task["phase"] for task in tasks if task["task"] == "one"] == ["Succeeded"] * 4

    await until(begun)
    copy = stack.state / "copy.db"
    with (
        closing(sqlite3.connect(stack.state / "gateway.db")) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    assert (await ended(client, run))["phase"] == "Succeeded"

    async def acknowledged() -> bool:
        return not any(
            rows(stack.state / "regions" / region / "journal.db", "select 1 from event") for region in REGIONS
        )

    await until(acknowledged)  # before that the clusters would simply tell it all again
    stack.kill("gateway")
    await stack.processes["gateway"].wait()
    for suffix in ("-wal", "-shm"):
        (stack.state / f"gateway.db{suffix}").unlink(missing_ok=True)
    shutil.move(copy, stack.state / "gateway.db")

    await stack.start_gateway()
    found = await ended(client, run)
    assert found["phase"] == "Succeeded"
    assert {shard["epoch"] >> 32 for shard in found["shards"]} == {1}
    assert [entry["kind"] for entry in history(stack, "")].count("StoreRestored") == 1
    again = [
        (shard, epoch) for word, shard, task, epoch, *_ in effects(log) if (word, task) == ("start", "one")
    ]
    assert {epoch for _, epoch in again} == {1}, "a task whose result the copy held was run again"
