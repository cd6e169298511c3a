"""Tests the command line against a real stack: its output and exit codes."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from gateway.cli.connection.retries import NOTICE
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import Exit
from tests.integration.conftest import REGIONS
from tests.integration.waiting import taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def waypost(stack: Stack) -> Run:
    """Returns a function that runs `waypost ...` in a folder with the context of `waypost up`."""
    (stack.state / ".waypost").mkdir()
    (stack.state / ".waypost" / "context.json").write_bytes((stack.state / "context.json").read_bytes())

    async def run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            cwd=stack.state,
            env={**os.environ, "COLUMNS": "200", **(environment or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def served(waypost: Run, *arguments: str) -> tuple[int, str, str]:
    """Repeats a command while the gateway cannot serve it now, as that of a busy machine cannot."""

    async def answer() -> tuple[int, str, str] | None:
        found = await waypost(*arguments)
        return None if found[0] == Exit.UNAVAILABLE else found

    return await until(answer, seconds=120)


async def all_healthy(waypost: Run) -> bool:
    """Returns whether the command says that all regions are Healthy."""
    regions = json.loads((await served(waypost, "regions", "-o", "json"))[1])
    return {region["condition"] for region in regions} == {"Healthy"}


async def test_a_first_day(waypost: Run, stack: Stack, client: httpx.AsyncClient) -> None:
    """What the README shows: submit, follow, list, describe, explain, read logs."""
    await taking_work(client, REGIONS)
    hello = str(ROOT / "examples" / "hello.yaml")
    code, out, err = await served(waypost, "submit", hello, "--watch", "--param", "who=you", "--key", "first")
    assert (code, err.removeprefix(f"{NOTICE}\n")) == (0, "")
    assert out.rstrip().endswith("Succeeded")
    run = json.loads((await served(waypost, "runs", "-o", "json"))[1])[0]["id"]

    assert (await served(waypost, "logs", run, "greet"))[1] == "hello you\n"
    code, out, _ = await served(waypost, "explain", run)
    assert code == 0
    for words in (
        "submitted by",
        "runs:submit allowed by",
        "policy revision",
        "Placed",
        "scores, lower is better",
        "Running -> Succeeded",
    ):
        assert words in out
    assert "celebrate" in (await served(waypost, "describe", run))[1]
    assert await until(lambda: all_healthy(waypost), seconds=60)
    code, out, _ = await served(waypost, "submit", str(ROOT / "examples" / "fan-out.yaml"), "--dry-run")
    assert (code, "allowed, 3 shards" in out) == (0, True)


async def test_exit_codes_tell_what_went_wrong(
    waypost: Run, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    """1 failed, 2 usage, 3 refused, 4 not found, 5 nobody there; and a sentence on standard error."""
    await taking_work(client, REGIONS)
    failing = tmp_path / "failing.yaml"
    failing.write_text(
        "apiVersion: waypost/v1\nkind: Workflow\nmetadata: {name: failing}\n"
        "spec: {tasks: [{name: a, type: process, run: {command: ['false']}}]}\n"
    )
    code, out, _ = await waypost("submit", str(failing), "-w")
    assert (code, "exit code 1" in out) == (1, True)
    code, _, err = await waypost("submit", str(tmp_path / "absent.yaml"))
    assert (code, "cannot read" in err) == (2, True)
    assert (await waypost("runs", environment={"WAYPOST_TOKEN": "nonsense"}))[0] == 3
    assert (await waypost("runs", "--limit", "0"))[0] == 2
    code, _, err = await waypost("cancel", f"../regions/{REGIONS[0]}/cordon#")
    assert (code, "no such" in err) == (4, True)
    assert not any(region["cordoned"] for region in json.loads((await waypost("regions", "-o", "json"))[1]))
    code, _, err = await waypost("describe", "nothing")
    assert (code, "no such run" in err) == (4, True)
    code, _, err = await waypost("runs", "--url", "http://127.0.0.1:9")
    assert (code, "nobody answers" in err) == (5, True)
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        failing.read_text()
        .replace("name: a,", "name: a, needs: [b],")
        .replace("type: process", "type: proces")
    )
    code, _, err = await waypost("submit", str(broken))
    assert (code, "/spec/tasks/0/needs/0" in err, "/spec/tasks/0/type" in err) == (2, True, True)


async def test_cancel_stops_what_runs(waypost: Run, tmp_path: Path, client: httpx.AsyncClient) -> None:
    """And the run says so."""
    await taking_work(client, REGIONS)
    long = tmp_path / "long.yaml"
    long.write_text(
        "apiVersion: waypost/v1\nkind: Workflow\nmetadata: {name: long}\n"
        "spec: {tasks: [{name: a, type: process, run: {command: [sleep, '100']}}]}\n"
    )
    run = json.loads((await waypost("submit", str(long), "-o", "json"))[1])["id"]
    assert (await waypost("cancel", run))[0] == 0
    async with asyncio.timeout(20):
        while (
            phase := json.loads((await waypost("describe", run, "-o", "json"))[1])["phase"]
        ) != "Cancelled":
            assert phase in ("Pending", "Running", "Cancelling")
    assert (await waypost("retry", run))[0] == 0
    assert (await waypost("cancel", run))[0] == 0


async def test_an_operator_drains_a_region_and_gives_up_another(
    waypost: Run, stack: Stack, client: httpx.AsyncClient
) -> None:
    """Drained: nothing new goes there. Given up: only when it is unreachable, and then the table says so."""
    await taking_work(client, REGIONS)
    drained, lost, _ = REGIONS
    code, out, _ = await waypost("drain", drained)
    assert (code, "drained: it can be stopped" in out) == (0, True)
    described = json.loads(
        (await waypost("submit", str(ROOT / "examples" / "fan-out.yaml"), "--watch", "-o", "json"))[1]
    )
    assert described["phase"] == "Succeeded"
    assert drained not in {shard["region"] for shard in described["shards"]}
    assert (await waypost("uncordon", drained))[0] == 0

    code, _, err = await waypost("forget", lost)
    assert (code, "drain it instead" in err) == (1, True)
    stack.processes[lost].kill()
    async with asyncio.timeout(20):
        while (await waypost("forget", lost))[0] != 0:
            pass
    rows = {row["name"]: row for row in json.loads((await waypost("regions", "-o", "json"))[1])}
    async with asyncio.timeout(20):
        while not rows[lost]["forgotten"]:
            rows = {row["name"]: row for row in json.loads((await waypost("regions", "-o", "json"))[1])}
    assert (rows[lost]["condition"], rows[drained]["cordoned"]) == ("Unreachable", False)
    assert (await waypost("forget", "atlantis"))[0] == 4
