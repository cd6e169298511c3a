"""Tests the replay of decisions that a gateway has recorded, with unchanged and with changed rules."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.arguments import Format
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import Exit
from gateway.cli.policy.replay import replay_decisions
from gateway.cli.records.decisions import export
from gateway.identity.development_issuer import SCOPES, mint_token
from gateway.policy.bundle import SHIPPED_POLICIES
from tests.integration.conftest import REGIONS, rows
from tests.integration.waiting import taking_work, until

pytestmark = pytest.mark.integration
AT_ONCE = 16
RULE = """package waypost.house

submit contains {"rule": "team.red", "message": "closed"} if input.workflow.metadata.labels.team == "red"
"""


def document(number: int) -> dict[str, Any]:
    """Returns a workflow for the number: some have a refused priority, others are of team red."""
    priority, team = (9, "none") if number % 20 == 0 else (2, "red" if number % 3 == 0 else "blue")
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": f"n{number}", "labels": {"team": team}},
        "spec": {
            "priority": priority,
            "tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}],
        },
    }


async def decide(client: httpx.AsyncClient, count: int) -> None:
    """Submits `count` documents while all regions are cordoned, so that none runs."""
    for region in REGIONS:
        (await client.post(f"/v1/regions/{region}/cordon")).raise_for_status()
    numbers = iter(range(count))

    async def submit() -> None:
        for number in numbers:
            answer = await client.post("/v1/runs", json=document(number))
            assert answer.status_code == (403 if number % 20 == 0 else 202), answer.text

    await asyncio.gather(*(submit() for _ in range(AT_ONCE)))


async def are_recorded(stack: Stack, count: int) -> bool:
    refused = rows(
        stack.state / "gateway.db", "select count(*) from decision where refused = 1 and name != ''"
    )
    return bool(refused[0][0] == len(range(0, count, 20)))


async def test_recorded_decisions_are_replayed(
    stack: Stack,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the gateway itself, in seconds for ten thousand: `-s` shows how many a second."""
    count = int(request.config.getoption("--decisions"))
    token = mint_token(stack.state / "development", subject="tester", tenant="demo", scopes=SCOPES)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=30) as client:
        await taking_work(client, REGIONS)
        await decide(client, count)
    # Refusals are recorded a moment later.
    await until(lambda: are_recorded(stack, count))

    def replay(rules: Path) -> int:
        return replay_decisions(rules, output=Format.NAME, url=stack.url, token=token)

    assert await asyncio.to_thread(lambda: export(url=stack.url, token=token)) == Exit.DONE
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    submissions = [one for one in records if one["action"] == "runs:submit"]
    labels = {one["id"]: one["input"]["workflow"]["metadata"]["labels"] for one in submissions}
    red = {name for name, found in labels.items() if found["team"] == "red"}
    assert len(submissions) == count
    assert len(red) == sum(number % 20 != 0 and number % 3 == 0 for number in range(count))

    assert await asyncio.to_thread(replay, SHIPPED_POLICIES) == Exit.DONE
    same = capsys.readouterr()
    assert same.out == ""
    folder = tmp_path / "next"
    shutil.copytree(SHIPPED_POLICIES, folder)
    (folder / "house" / "red.rego").write_text(RULE)
    assert await asyncio.to_thread(replay, folder) == Exit.DONE
    other = capsys.readouterr()
    assert set(other.out.split()) == red
    assert f"0 newly allowed, 0 without an answer, {len(red)} newly refused, 0 otherwise" in other.err
    with capsys.disabled():
        print(f"\n  the same rules: {same.err}  one rule more: {other.err}", end="")
