"""Tests that a region killed with running shards loses nothing and repeats no finished task."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import REGIONS, effects, history, noting, rows
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
TASKS = ("scan", "pack", "verify", "publish")


async def test_a_killed_region_costs_nothing_that_was_finished(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path, rounds: int
) -> None:
    """kill -9 at random moments of a region that holds all eight shards; judged by the tasks' own effects and
    the journals.
    """
    rng, log_of = random.Random(7), {}
    for number in range(rounds):
        await taking_work(client, REGIONS)
        victim = rng.choice(REGIONS)
        log = tmp_path / f"effects-{number}"
        wishes = {"avoid": [name for name in REGIONS if name != victim]}
        run = await submitted(client, noting(log, 0.4, *TASKS, placement=wishes))
        log_of[run] = log

        async def all_there(run: str = run, victim: str = victim) -> bool:
            shards = (await described(client, run))["shards"]
            return all(shard["region"] == victim and shard["phase"] == "Running" for shard in shards)

        await until(all_there)
        await asyncio.sleep(rng.uniform(0.0, 1.4))  # the moment of the kill is what is random here
        stack.kill(victim)
        await stack.processes[victim].wait()
        found = await ended(client, run)
        print(
            f"round {number}: {victim} killed, "
            f"{sum(s['failovers'] for s in found['shards'])} failovers, {found['phase']}"
        )
        assert found["phase"] == "Succeeded"
        await stack.start_region(victim, port=stack.ready[victim]["port"])
    await assert_nothing_twice(stack, log_of)


async def assert_nothing_twice(stack: Stack, log_of: dict[str, Path]) -> None:
    for run, log in log_of.items():
        told = history(stack, run)
        done = effects(log)
        assert {(shard, task) for word, shard, task, *_ in done if word == "end"} >= {
            (s, t) for s in range(8) for t in TASKS
        }
        accepted = Counter(entry["shard"] for entry in told if entry["kind"] == "Completed")
        assert accepted == dict.fromkeys(range(8), 1)
        held = {(e["shard"], e["task"]): (e["epoch"], e["at"]) for e in told if e["kind"] == "TaskFinished"}
        again = [(s, t, e) for word, s, t, e, _, _ in done if word == "start" and e > held[(s, t)][0]]
        assert again == [], "a task whose result the store held was started in a later epoch"
        for region in REGIONS:
            journal = stack.state / "regions" / region / "journal.db"
            started = rows(
                journal, "select shard, epoch, task, count(*) from task where run = ? group by 1, 2, 3", run
            )
            wrote = {(s, e, t) for word, s, t, e, r, _ in done if r == region and word == "end"}
            claimed = rows(
                journal, "select shard, epoch, task from task where run = ? and result is not null", run
            )
            assert set(claimed) <= wrote, "a journal claims a result that no task has made"
            assert {count for *_, count in started} <= {1}


async def test_a_region_that_only_hangs_is_left_and_its_leftovers_end(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """SIGSTOP: no connection breaks, yet the work goes on elsewhere; when it wakes, its attempts are nobody's
    and are ended (T11).
    """
    await taking_work(client, REGIONS)
    log = tmp_path / "effects"
    run = await submitted(
        client, noting(log, 1.0, "one", "two", shards=4, placement={"avoid": ["shanghai", "shenzhen"]})
    )

    async def running() -> bool:
        return all(shard["phase"] == "Running" for shard in (await described(client, run))["shards"])

    await until(running)
    stopped = stack.processes["beijing"]
    stopped.send_signal(19)
    at = time.monotonic()
    found = await ended(client, run)
    print(f"silent region: run over {time.monotonic() - at:.1f} s later")
    stopped.send_signal(18)
    assert found["phase"] == "Succeeded"

    async def reaped() -> bool:
        return not any(shard["orphans"] for shard in (await described(client, run))["shards"])

    await until(reaped, seconds=40)
