"""Tests `waypost backup` under load, and what a gateway does after `waypost restore`. Real processes."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import NOTE, REGIONS, effects, history, noting, rows
from tests.integration.load import load_on
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GATED = NOTE.replace(
    "time.sleep(float(sys.argv[2]))", "while not os.path.exists(sys.argv[2]): time.sleep(0.02)"
)
"""The program of `noting`, whose task ends once the file that is its second argument exists."""


async def waypost(stack: Stack, *words: str) -> str:
    """Runs a `waypost` command beside the stack's gateway; returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *words,
        "--config",
        str(stack.state / "gateway.toml"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "WAYPOST_STORE": f"sqlite:{stack.state / 'gateway.db'}"},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_a_backup_under_load_is_restored(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """What was acknowledged before it is there, no task whose result it holds runs again, and work that was
    accepted after it is found on the clusters and ended there, as nobody waits for it.
    """
    await taking_work(client, REGIONS)
    log, late = tmp_path / "effects", tmp_path / "late"
    document = noting(log, 0.0, "one", "two", "three", shards=4)
    document["spec"]["tasks"][1]["run"]["command"] = [sys.executable, "-c", GATED, str(log), f"{log}.gate"]
    run = await submitted(client, document, key="before")
    before = await backed_up_under_load(stack, client, run, tmp_path / "backup")
    recorded = succeeded(tmp_path / "backup" / "store.db", run)
    assert recorded == {(shard, "one") for shard in range(4)}, "the second task waits for the gate"
    log.with_suffix(".gate").touch()
    assert (await ended(client, run))["phase"] == "Succeeded"
    lost = await running_for_good(client, late)

    await kill_gateway(stack)
    assert "begins a new era" in await waypost(stack, "restore", str(tmp_path / "backup"), "--force")
    await stack.start_gateway()

    found = await ended(client, run)
    assert found["phase"] == "Succeeded"
    assert {run, *before} <= {one["id"] for one in await listed(client)}
    starts = [(shard, task) for word, shard, task, *_ in effects(log) if word == "start"]
    assert {pair: starts.count(pair) for pair in recorded} == dict.fromkeys(recorded, 1)
    assert {shard["epoch"] >> 32 for shard in found["shards"]} == {1}, "the backup shows them as running"
    await check_ended(stack, client, lost, noting(late, 0.0, "long", shards=2))
    await check_era_is_begun_once(stack)


async def backed_up_under_load(stack: Stack, client: httpx.AsyncClient, run: str, folder: Path) -> set[str]:
    """Takes a backup while runs are accepted; returns those that were acknowledged before it began."""

    async def begun() -> bool:
        tasks = (await described(client, run))["tasks"]
        return [task["phase"] for task in tasks if task["task"] == "one"] == ["Succeeded"] * 4

    await until(begun)
    async with load_on(stack, ("demo",)) as load:

        async def busy() -> bool:
            return len(load.submissions) >= 10

        await until(busy)
        before = {run["id"] for run in await listed(client)}
        assert "verified" in await waypost(stack, "backup", str(folder))
    assert {one.status for one in load.submissions} == {202}, "acceptance has gone on meanwhile"
    return before


def succeeded(store: Path, run: str) -> set[tuple[int, str]]:
    found = rows(store, "select shard, task, state from task_result where run = ?", run)
    return {(shard, task) for shard, task, state in found if json.loads(state)["phase"] == "Succeeded"}


async def running_for_good(client: httpx.AsyncClient, log: Path) -> str:
    """Submits a run with the key `after`, and waits until its processes run, which last a minute."""
    run = await submitted(client, noting(log, 60.0, "long", shards=2), key="after")

    async def running() -> bool:
        return count_lines(log) == 2

    await until(running)
    return run


def count_lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


async def kill_gateway(stack: Stack) -> None:
    stack.kill("gateway")
    await stack.processes["gateway"].wait()


async def check_ended(stack: Stack, client: httpx.AsyncClient, lost: str, document: dict[str, Any]) -> None:
    """Checks that a run from after the backup is unknown and ended everywhere, and its key free again."""
    assert (await client.get(f"/v1/runs/{lost}")).status_code == 404

    async def reaped() -> bool:
        return not any(
            rows(stack.state / "regions" / region / "journal.db", "select 1 from attempt where run = ?", lost)
            for region in REGIONS
        )

    await until(reaped)
    again = await client.post("/v1/runs", json=document, headers={"idempotency-key": "after"})
    assert again.status_code == 202
    assert (await ended(client, again.json()["id"]))["phase"] == "Succeeded"


async def check_era_is_begun_once(stack: Stack) -> None:
    """Checks that the mark is removed once all leases from before have ended: the next start is as any."""

    async def unmarked() -> bool:
        return not rows(stack.state / "gateway.db", "select 1 from meta where name = 'restored'")

    await until(unmarked)
    await kill_gateway(stack)
    await stack.start_gateway()
    kinds = [entry["kind"] for entry in history(stack, "")]
    assert (kinds.count("BackupRestored"), kinds.count("StoreRestored")) == (1, 1)


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 200}
    while True:
        page = (await client.get("/v1/runs", params=query)).json()
        found += page["items"]
        if not page["continue"]:
            return found
        query["continue"] = page["continue"]
